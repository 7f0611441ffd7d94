"""The commands that a document has people type, and what each prints there and here.

A command is in a fenced block: in `console` after `$ `, with what it prints below it; in `bash` the
whole block is one script.
"""

import os
import re
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asynctestkit.kubernetes_cluster import CACHED_PROGRAMS, REPOSITORY
from asynctestkit.process import bare_environment
from asynctestkit.processes import COMMAND, Service, answers

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DOCUMENTS = sorted(
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "docs/**/*.md", "charts/*/*.md")
    for path in REPOSITORY.glob(pattern)
)
NOT_RUN = {
    "./dev up": "`up_service` starts the same, and `./dev test` is what runs the tests",
    "./dev kind-up": "makes a cluster, as tests/release does, to which it installs the same chart",
    "./dev bench": "takes up to 90 minutes; CI runs it with --quick",
    "./dev chaos": "takes minutes; CI runs it",
    "pip install ": "what the tests run is installed already",
}
"""Why a block that begins so is not run as it stands."""

_PART = re.compile(
    r"^##+ (?P<heading>.*)|^(?P<pad> *)```(?P<language>\w+)\n(?P<text>(?s:.*?))^(?P=pad)```$",
    re.MULTILINE,
)
_TYPED = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?", re.MULTILINE)
_CHANGING = (
    ID,
    re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
    re.compile(r"(?<=^content-length: )\d+", re.MULTILINE),
    re.compile(r"\d+\.\d+(?= s\b)"),
    re.compile(r"\b(?:\d+[dhms])+\b"),
)
_GAP = re.compile(r"(?<=\S) {3,}(?=\S)")


@dataclass(frozen=True)
class Command:
    """A command, or the script of a block, below a heading of a document."""

    section: str
    """The heading that it stands below; empty for the first part of a document."""
    text: str
    output: str | None
    """What it prints; None where that is not shown."""

    @property
    def is_run(self) -> bool:
        return not self.text.startswith(tuple(NOT_RUN))


def blocks(document: str, language: str) -> list[str]:
    """What is in the document's blocks of this language."""
    return [
        textwrap.dedent(part["text"]) for part in _parts(document) if part["language"] == language
    ]


def commands(document: str, *sections: str) -> list[Command]:
    """All of a document, or of these sections of it, but those that are NOT_RUN."""
    found = [command for command in all_commands(document) if command.is_run]
    asked = set(sections) or {command.section for command in found}
    chosen = [command for command in found if command.section in asked]
    assert {command.section for command in chosen} == asked, f"{document} has no such commands"
    return chosen


def scripts(document: str, *sections: str) -> list[str]:
    """The same where no output is shown: the text of each."""
    found = commands(document, *sections)
    assert [command for command in found if command.output is not None] == []
    return [command.text for command in found]


def all_commands(document: str) -> Iterator[Command]:
    """Those that are NOT_RUN, too."""
    section = ""
    for part in _parts(document):
        if part["language"] is None:
            section = part["heading"]
        elif part["language"] == "console":
            _, *found = _TYPED.split(textwrap.dedent(part["text"]))
            for typed, output in zip(found[::2], found[1::2], strict=True):
                yield Command(section, typed, output)
        elif part["language"] in {"bash", "sh", "shell"}:
            yield Command(section, textwrap.dedent(part["text"]), None)


def _parts(document: str) -> Iterator[re.Match[str]]:
    return _PART.finditer((REPOSITORY / document).read_text())


def run(
    command: str,
    folder: Path,
    *,
    places: Mapping[str, str] | None = None,
    url: str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """All that it prints, where `places` says what stands for each place of the document.

    `url` is that of the proxy, for the commands that name none. A command that fails is an
    AssertionError.
    """
    # To a terminal curl writes an answer without telling how fast it comes.
    (folder / ".curlrc").write_text("silent\n")
    ours = {"PATH": _path(), "CURL_HOME": str(folder), "ASYNCAPIPROXY_URL": url}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", here(command, places or {})],
        cwd=folder,
        env={**bare_environment(folder), **ours, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout)
    printed = done.stdout
    for there, stands in (places or {}).items():
        printed = printed.replace(stands, there)
    return printed


def serving(
    command: str,
    folder: Path,
    *,
    name: str,
    port: int,
    ready: str = "/ping",
) -> Service:
    """A command that does not end, which is ready when it answers this path on the port."""
    return Service(
        *("-c", f"{command}\nwait"),
        name=name,
        folder=folder,
        environment={"PATH": _path()},
        is_ready=answers(ready),
        url=f"http://127.0.0.1:{port}",
        command=("bash",),
    )


def here(text: str, places: Mapping[str, str]) -> str:
    """The text with what stands for each of its places here."""
    for there, stands in places.items():
        text = text.replace(there, stands)
    return text


def is_as_shown(printed: str, output: str) -> bool:
    """Whether it is what the document has; what is long is shown there by its beginning."""
    start, cut, _ = timeless(output).partition("…")
    return timeless(printed).startswith(start) and bool(cut or timeless(printed) == start)


def timeless(printed: str) -> str:
    """Without ids, times, and spaces that align columns or end lines."""
    for changing in _CHANGING:
        printed = changing.sub("-", printed)
    return "\n".join(_GAP.sub("   ", line.rstrip()) for line in printed.strip().splitlines())


def _path() -> str:
    return os.pathsep.join((str(COMMAND.parent), str(CACHED_PROGRAMS), os.environ["PATH"]))
