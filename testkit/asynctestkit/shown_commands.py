"""The commands that a document shows in a terminal, and what each prints there and here."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from asynctestkit.process import bare_environment
from asynctestkit.processes import COMMAND

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CHANGING = (
    ID,
    re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
    re.compile(r"(?<=^content-length: )\d+", re.MULTILINE),
    re.compile(r"\d+\.\d+(?= s\b)"),
)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?", re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def shown(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a document's terminals, and all that it prints."""
    for block in blocks(text, "console"):
        _, *found = _COMMAND.split(block)
        yield from zip(found[::2], found[1::2], strict=True)


def run(command: str, folder: Path, *, places: Mapping[str, str], url: str) -> str:
    """All that it prints, where `places` says what stands for each place of the document.

    `url` is that of the proxy, for the commands that name none.
    """
    for there, here in places.items():
        command = command.replace(there, here)
    environment = bare_environment(folder)
    # To a terminal curl writes an answer without telling how fast it comes.
    (folder / ".curlrc").write_text("silent\n")
    path = f"{COMMAND.parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**environment, "PATH": path, "CURL_HOME": str(folder), "ASYNCAPIPROXY_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    printed = done.stdout
    for there, here in places.items():
        printed = printed.replace(here, there)
    return printed


def is_as_shown(printed: str, output: str) -> bool:
    """Whether it is what the document has; what is long is shown there by its beginning."""
    start, cut, _ = timeless(output).partition("…")
    return timeless(printed).startswith(start) and bool(cut or timeless(printed) == start)


def timeless(printed: str) -> str:
    """Without ids, times and the spaces at the ends of lines."""
    for changing in _CHANGING:
        printed = changing.sub("-", printed)
    return "\n".join(line.rstrip() for line in printed.strip().splitlines())
