"""Servers of another Debian release, from a folder that debootstrap has filled with it.

`./dev test --servers all` makes such folders and names each in turn in TEST_SERVERS_ROOT.
"""

import os
from pathlib import Path

ENTER = """
    mount --bind /tmp "$0/tmp" && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
    exec chroot "$0" "$@"
"""
"""Both sides have one /tmp, where all that a server of ours writes is."""


def other_root() -> Path | None:
    """None: the servers are this machine's own."""
    named = os.environ.get("TEST_SERVERS_ROOT")
    return Path(named) if named else None


def entering(root: Path | None) -> list[str]:
    """The start of a command that runs the rest inside the folder, in the same process."""
    return ["unshare", "--mount", "sh", "-c", ENTER, str(root)] if root else []


def found_inside(root: Path | None, pattern: str) -> list[Path]:
    """What matches, as whoever has entered sees it; a pattern without the first slash."""
    top = root or Path("/")
    return [Path("/") / found.relative_to(top) for found in top.glob(pattern)]
