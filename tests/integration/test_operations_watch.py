"""A changed operations file, however it is changed: taken over whole, or refused whole."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import Gauge
from structlog.testing import capture_logs

from asynctasks.errors import DatabaseUnavailableError, OperationsFileError
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.operation import Operations
from asynctasks.operations.operations_watch import (
    FILE_METRICS,
    OperationsWatch,
    followed_file,
)
from asynctestkit.eventually import PATIENCE_SECONDS, eventually


def text(*names: str) -> str:
    declared = "".join(f"  {name}: {{route: POST /{name}, handler: 'a:b'}}\n" for name in names)
    return f"operations:\n{declared}"


def put(file: Path, content: str) -> Path:
    file.write_text(content)
    return file


def write(file: Path, *names: str, mistake: str = "") -> Path:
    return put(file, text(*names) + mistake)


def remove(file: Path) -> None:
    file.unlink()


def mounted(folder: Path, **versions: tuple[str, ...]) -> Path:
    """A file as the kubelet mounts it: `..data` leads to the folder of one version's content."""
    for version, names in versions.items():
        (folder / version).mkdir()
        write(folder / version / "operations.yaml", *names)
    (folder / "..data").symlink_to(next(iter(versions)))
    file = folder / "operations.yaml"
    file.symlink_to("..data/operations.yaml")
    return file


def swap(folder: Path, version: str) -> None:
    (folder / "..data_tmp").symlink_to(version)
    (folder / "..data_tmp").rename(folder / "..data")


def value(gauge: Gauge) -> float:
    (family,) = gauge.collect()
    return family.samples[0].value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "operations.yaml"
    written.write_text(text("a"))
    return written


@asynccontextmanager
async def followed(file: Path) -> AsyncGenerator[LiveOperations]:
    async with asyncio.timeout(PATIENCE_SECONDS), followed_file(file) as live:
        yield live


async def has(live: LiveOperations, *names: str) -> None:
    def taken_over() -> None:
        assert sorted(live.current) == sorted(names)

    await eventually(taken_over)


async def test_a_file_that_is_written_anew_or_replaced_is_taken_over(file: Path, tmp_path: Path):
    async with followed(file) as live:
        await has(live, "a")
        loaded = value(FILE_METRICS.loaded_timestamp)
        write(file, "a", "b")
        await has(live, "a", "b")
        assert value(FILE_METRICS.loaded_timestamp) > loaded
        write(tmp_path / "other.yaml", "c").rename(file)
        await has(live, "c")


async def test_a_mounted_config_map_that_is_swapped_is_taken_over(tmp_path: Path):
    file = mounted(tmp_path, first=("a",), second=("a", "b"))
    async with followed(file) as live:
        await has(live, "a")
        swap(tmp_path, "second")
        await has(live, "a", "b")


async def test_a_bad_file_is_refused_with_all_its_faults_in_one_line_until_it_is_mended(file: Path):
    with capture_logs() as logs:
        async with followed(file) as live:
            write(file, "a", "b", mistake="  c: {route: FETCH /c, handler: 'a:b'}\n  d: {}\n")

            def refused() -> None:
                assert value(FILE_METRICS.refused) == 1

            await eventually(refused)
            assert sorted(live.current) == ["a"]
            (line,) = [entry for entry in logs if entry["log_level"] == "error"]
            assert "operations.c.route" in line["faults"]
            assert "operations.d" in line["faults"]
            remove(file)

            def refused_again() -> None:
                assert len([each for each in logs if each["log_level"] == "error"]) == 2

            await eventually(refused_again)
            assert sorted(live.current) == ["a"]
            write(file, "b")
            await has(live, "b")
            assert value(FILE_METRICS.refused) == 0


async def test_a_file_that_nobody_can_serve_is_refused_and_one_awaits_the_database(file: Path):
    is_away = True

    async def follower(operations: Operations):
        if "bad" in operations:
            raise OperationsFileError("bad: handler: there is none")
        if "later" in operations and is_away:
            raise DatabaseUnavailableError
        return lambda: None

    with capture_logs() as logs:
        async with followed(file) as live, live.followed_by(follower):
            write(file, "bad")

            def refused() -> None:
                assert value(FILE_METRICS.refused) == 1

            await eventually(refused)
            write(file, "later")

            def waits() -> None:
                waiting = [entry["loop"] for entry in logs if entry["event"] == "loop waits"]
                assert waiting == ["operations file"]

            await eventually(waits)
            assert sorted(live.current) == ["a"]
            is_away = False
            await has(live, "later")
            assert value(FILE_METRICS.refused) == 0


async def test_a_file_that_is_half_written_is_not_judged_before_its_writer_has_finished(file: Path):
    watch = OperationsWatch(file)
    whole = text("a", "b")
    with capture_logs() as logs:
        for end in (len(whole) // 2, len(whole) - 3, len(whole)):
            put(file, whole[:end])
            await watch.look()
        assert sorted(watch.operations.current) == ["a"]
        await watch.look()
        assert sorted(watch.operations.current) == ["a", "b"]
        await watch.look()
    assert [entry["event"] for entry in logs] == ["operations file taken over"]


async def test_a_bad_file_stops_the_start(file: Path):
    write(file)
    with pytest.raises(OperationsFileError):
        async with followed_file(file):
            pass
