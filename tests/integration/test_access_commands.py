"""`asyncapiproxy access`, and the token that `task` shows."""

import asyncio
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from asyncapiproxy.main import app
from asyncproxy.access.api_keys import load_api_keys, sha256_of
from asyncproxy.access.principal import Principal
from asynctestkit.inside import inside

RULES = "rules: [{may: [submit, read]}]\n"


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(app, words, env=dict(environment))


def new_key(file: Path, *options: str) -> str:
    """The key, whose entry is then in the file."""
    made = run("access", "new-key", "shop", *options)
    assert made.exit_code == 0
    with file.open("a") as written:
        written.write(made.stdout)
    return made.stderr.strip()


def test_a_new_key_is_shown_once_and_the_file_has_its_hash(tmp_path: Path):
    file = tmp_path / "keys.yaml"
    key = new_key(file, "--tenant", "acme", "--groups", "ops, dev", "--expires", "2027-01-31")
    assert key not in file.read_text()
    found = load_api_keys(file, prefix="key:")[sha256_of(key)]
    assert found.principal == Principal(
        name="key:shop", tenant="acme", groups=frozenset({"ops", "dev"})
    )
    assert found.expires_at == 1801353600


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a b",), "NAME"),
        (("aap_x",), "not aap_ before them"),
        (("a", "--expires", "soon"), "--expires"),
        (("a", "--expires", "2020-01-31"), "over already"),
        (("a", "--tenant", "a\n"), "--tenant"),
        (("a", "--groups", "a,,b"), "--groups"),
    ],
)
def test_no_key_is_made_of_what_the_file_could_not_have(words: tuple[str, ...], told: str):
    made = run("access", "new-key", *words)
    assert made.exit_code == 2
    assert told in made.stderr
    assert made.stdout == ""


def test_a_file_is_checked_as_the_proxy_does(tmp_path: Path):
    file = tmp_path / "access.yaml"
    file.write_text(f"authentication: {{apiKeys: {{file: keys.yaml}}}}\n{RULES}")
    missing = run("access", "check", str(file))
    assert missing.exit_code == 1
    assert f"{tmp_path / 'keys.yaml'}: cannot be read" in missing.stderr
    new_key(tmp_path / "keys.yaml")
    good = run("access", "check", str(file))
    assert good.exit_code == 0
    assert "API keys: 1" in good.stdout
    file.write_text("authentication: {anonymous: no}\nrule: []\n")
    bad = run("access", "check", str(file))
    assert bad.exit_code == 1
    assert "access.yaml:1: authentication.anonymous: expected 'deny' or 'allow'" in bad.stderr
    assert "access.yaml:2: rule: unknown key" in bad.stderr


async def test_the_command_shows_its_token_to_the_proxy(sqlite_url: str, tmp_path: Path):
    file = tmp_path / "access.yaml"
    key = new_key(tmp_path / "keys.yaml", "--tenant", "acme")
    file.write_text(f"authentication: {{apiKeys: {{file: keys.yaml}}}}\n{RULES}")
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        proxy = await installation.proxy(access_file=file)

        async def asked(*words: str, **environment: str) -> Result:
            given = {"ASYNCAPIPROXY_URL": proxy.url, **environment}
            return await asyncio.to_thread(run, *words, **given)

        known = await asked("access", "whoami", ASYNCAPIPROXY_TOKEN=key)
        assert known.exit_code == 0, known.output
        assert "key:shop" in known.stdout
        assert "acme" in known.stdout
        shown = await asked("access", "whoami", "-o", "json", "--token", key)
        assert yaml.safe_load(shown.stdout)["principal"] == "key:shop"
        refused = await asked("access", "whoami", ASYNCAPIPROXY_TOKEN="wrong")
        assert refused.exit_code == 1
        assert "It is not known who calls" in refused.output
        no_token = await asked("access", "whoami", ASYNCAPIPROXY_TOKEN="wröng")
        assert no_token.exit_code == 2
        assert "wröng" not in no_token.output
        listed = await asked("task", "list", "-o", "json", ASYNCAPIPROXY_TOKEN=key)
        assert listed.exit_code == 0, listed.output
