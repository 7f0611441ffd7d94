"""Somebody who types what the documents show at a checkout, and who has a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asynctestkit.kubernetes_cluster import REPOSITORY, Kubectl
from asynctestkit.release import IMAGE
from asynctestkit.shown_commands import run

CONTEXT = "production"
"""What docs/command.md calls the cluster."""


@dataclass(frozen=True)
class Person:
    """Somebody whose kubectl and helm are in one namespace of the cluster."""

    folder: Path
    """Where they type; it has the checkout's charts."""
    kubeconfig: Path

    def types(self, command: str, places: Mapping[str, str] | None = None) -> str:
        """What a document's command prints; `places` says what stands for its places here."""
        here = {"asyncapiproxy:0.1.0": IMAGE, **(places or {})}
        environment = {"KUBECONFIG": str(self.kubeconfig)}
        return run(command, self.folder, places=here, environment=environment)


def person(folder: Path, kubeconfig: Path, *, namespace: str) -> Person:
    """One who types in this folder."""
    (folder / "charts").symlink_to(REPOSITORY / "charts")
    theirs = folder / "kubeconfig"
    theirs.write_text(kubeconfig.read_text())
    config = Kubectl(theirs)
    config("config", "set-context", "--current", f"--namespace={namespace}")
    config("config", "rename-context", config("config", "current-context").strip(), CONTEXT)
    return Person(folder, theirs)
