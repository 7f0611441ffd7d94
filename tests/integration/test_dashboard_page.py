"""What is served at /ui, and how: to browsers that are told to run and load nothing else."""

import gzip
import re
from collections.abc import AsyncGenerator

import httpx
import pytest

from asyncproxy.dashboard_page import PAGES
from asynctestkit.inside import inside

LOADED = re.compile(r"""(?:src|href)="(?!\./")([^"]+)"|(?:from |import\()"\./([^"]+)\"""")
MOST_BYTES = 150_000


@pytest.fixture
async def client(sqlite_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        yield await installation.client(await installation.proxy())


async def all_files(client: httpx.AsyncClient) -> dict[str, httpx.Response]:
    """Whatever a page leads to, by its name."""
    found: dict[str, httpx.Response] = {}
    names = {""}
    while names:
        name = names.pop()
        found[name] = await client.get(f"/ui/{name}")
        assert found[name].status_code == 200, name
        linked = {one or other for one, other in LOADED.findall(found[name].text)}
        names |= linked - found.keys()
    return found


async def test_every_file_is_found_is_ours_and_all_are_small(client: httpx.AsyncClient):
    found = await all_files(client)
    assert set(PAGES) - {"task", "batches", "batch"} <= found.keys()
    assert {"style.css", "icon.svg", "dashboard.js", "callbacks.js", "written.js"} <= found.keys()
    for name, answer in found.items():
        assert "//" not in name
        for told, value in {
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-cache",
        }.items():
            assert answer.headers[told] == value, name
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
        assert not [part for part in policy if "unsafe" in part or ":" in part]
    sent = sum(len(gzip.compress(answer.content)) + 600 for answer in found.values())
    assert sent < MOST_BYTES


async def test_no_page_has_a_script_or_a_style_within(client: httpx.AsyncClient):
    page = (await client.get("/ui/")).text
    assert re.findall(r"<script(?![^>]* src=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []


async def test_what_is_known_is_not_sent_again(client: httpx.AsyncClient):
    first = await client.get("/ui/style.css")
    assert first.headers["content-encoding"] == "gzip"
    plain = await client.get("/ui/style.css", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content
    assert first.headers["vary"] == "Accept-Encoding"
    known = {"If-None-Match": first.headers["etag"]}
    again = await client.get("/ui/style.css", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"] == plain.headers["etag"]
    other = await client.get("/ui/", headers=known)
    assert other.status_code == 200


async def test_the_way_there_holds_below_any_path(client: httpx.AsyncClient, sqlite_url: str):
    assert (await client.get("/ui")).headers["location"] == "ui/"
    async with inside(
        database_url=sqlite_url, broker_url="memory://", public_url="https://x.example/api"
    ) as installation:
        below = await installation.client(await installation.proxy())
        assert (await below.get("/ui")).headers["location"] == "https://x.example/api/ui/"


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient):
    for path in (
        "/ui/nothing",
        "/ui/index.html",
        "/ui/tasks/",
        "/ui/../proxy.py",
        "/ui/%2e%2e%2fapp.py",
    ):
        assert (await client.get(path)).status_code == 404, path


async def test_it_can_be_switched_off(sqlite_url: str):
    async with inside(database_url=sqlite_url, broker_url="memory://", ui=False) as installation:
        client = await installation.client(await installation.proxy())
        for path in ("/ui", "/ui/", "/ui/tasks", "/ui/style.css"):
            assert (await client.get(path)).status_code == 404, path
