"""What a file of declarations refers to, whatever it is, ends nobody who looks at it."""

from collections.abc import Callable
from pathlib import Path

from structlog.testing import capture_logs

from asynctasks.declarations.declared_file import read_text
from asynctasks.declarations.file_watch import FileMetrics, FileWatch
from asynctasks.errors import AccessFileError


async def test_a_path_that_no_system_has_is_refused_and_looked_at_again(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text(f"{file}")
    taken_over: list[str] = []

    def load(read: Callable[[Path], bytes]) -> str:
        other = Path(read_text(file, error=AccessFileError, read=read))
        return read_text(other, error=AccessFileError, read=read)

    async def take_over(declared: str) -> None:
        taken_over.append(declared)

    watch = FileWatch("file", load, take_over, metrics=FileMetrics("file"))
    with capture_logs() as logs:
        file.write_text("a\0b")
        for _ in range(4):
            await watch.look()
    (line,) = logs
    assert "cannot be read: embedded null byte" in line["faults"]
    file.write_text(f"{file}")
    for _ in range(2):
        await watch.look()
    assert taken_over == [f"{file}"]
