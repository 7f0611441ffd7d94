"""A kubectl that knows of one namespace what a test says, and forwards to where a test serves.

As a program it is that kubectl; `fake_kubectl` puts it into a folder for the PATH.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READ_BYTES = 65_536


@dataclass(frozen=True)
class FakeKubectl:
    """Where it is, and what it was asked for."""

    folder: Path

    @property
    def path(self) -> str:
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    @property
    def calls(self) -> list[list[str]]:
        """The words of each call."""
        return [call["words"] for call in self._told()]

    @property
    def forwards(self) -> list[int]:
        """The process of each forward."""
        return [call["pid"] for call in self._told() if "port-forward" in call["words"]]

    def _told(self) -> list[dict[str, Any]]:
        file = self.folder / "calls"
        return list(map(json.loads, file.read_text().splitlines())) if file.exists() else []


def fake_kubectl(
    folder: Path,
    *,
    found: Sequence[dict[str, Any]] = (),
    to: str = "",
    refusals: dict[str, str] | None = None,
) -> FakeKubectl:
    """One that finds these objects, forwards to `host:port`, and refuses the verbs as told."""
    folder.mkdir()
    kubectl = folder / "kubectl"
    kubectl.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
    kubectl.chmod(0o755)
    knows = {"found": list(found), "to": to, "refusals": refusals or {}}
    (folder / "knows").write_text(json.dumps(knows))
    return FakeKubectl(folder)


def proxy_objects(release: str, *, is_ready: bool = True) -> list[dict[str, Any]]:
    """The Service and the pod of a release's proxy, as far as we read them."""
    name = f"{release}-asyncapiproxy-proxy"
    labels = {"app.kubernetes.io/instance": release}
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    status = {
        "phase": "Running" if is_ready else "Pending",
        "conditions": [{"type": "Ready", "status": str(is_ready)}],
        "containerStatuses": [{} if is_ready else waiting],
    }
    return [
        {"kind": "Service", "metadata": {"name": name, "labels": labels}},
        {"kind": "Pod", "metadata": {"name": f"{name}-x7k2p", "labels": labels}, "status": status},
    ]


def main(words: list[str], folder: Path) -> int:
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps({"words": words, "pid": os.getpid()}) + "\n")
    knows = json.loads((folder / "knows").read_text())
    for verb, refusal in knows["refusals"].items():
        if verb in words:
            sys.stderr.write(f"{refusal}\n")
            return 1
    if "get" in words:
        sys.stdout.write(json.dumps({"kind": "List", "items": knows["found"]}))
    elif "current-context" in words:
        sys.stdout.write("kind-kind\n")
    elif "port-forward" in words:
        forward(knows["to"])
    return 0


def forward(to: str) -> None:
    host, _, port = to.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    own = listener.getsockname()[1]
    sys.stdout.write(f"Forwarding from 127.0.0.1:{own} -> 8080\n")
    sys.stdout.flush()
    while True:
        caller, _ = listener.accept()
        server = socket.create_connection((host, int(port)))
        for one, other in ((caller, server), (server, caller)):
            threading.Thread(target=pump, args=(one, other), daemon=True).start()


def pump(one: socket.socket, other: socket.socket) -> None:
    while read := one.recv(READ_BYTES):
        other.sendall(read)
    other.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(sys.argv[0]).parent))
