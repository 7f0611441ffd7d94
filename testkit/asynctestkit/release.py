"""The chart installed on a real cluster: what a person with docker, kind, kubectl and helm does."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from asynctestkit.kubernetes_cluster import KIND_SCRIPTS, REPOSITORY, Kubectl, program

CHART = REPOSITORY / "charts/asyncapiproxy"
IMAGE = "asyncapiproxy:e2e"
NEXT_IMAGE = "asyncapiproxy:e2e-next"
LOCAL_IMAGES = {
    "postgresql.image": "postgres:local",
    "rabbitmq.image": "rabbitmq:local",
}
"""In place of the official ones, where no image can be pulled."""
LOCAL_BASE = "python-base:trixie"

KILL = """
for process in /proc/[0-9]*; do
  [ "$(cat $process/root/etc/hostname 2>/dev/null)" = "$1" ] && kill -9 "${process#/proc/}"
done
true
"""
"""A pod's processes are those with its host name."""

Json = dict[str, Any]


class CommandError(RuntimeError):
    """A command failed; the text is all that it said."""


def run(*command: str, seconds: float = 600, given: str | None = None) -> str:
    """What it printed; raises CommandError."""
    done = subprocess.run(
        command,
        # Without BuildKit's plug-in, which not every Docker has.
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def local_images() -> dict[str, str]:
    """Values for servers' images where the official ones cannot be pulled."""
    return LOCAL_IMAGES if (KIND_SCRIPTS / "up").exists() else {}


def build_image() -> None:
    """IMAGE, from this tree."""
    base = ["--build-arg", f"BASE={LOCAL_BASE}"] if local_images() else []
    run("docker", "build", "--tag", IMAGE, *base, str(REPOSITORY), seconds=900)


def build_next_image(folder: Path, *, head: str) -> str:
    """NEXT_IMAGE: this version with one migration more, which only adds. Returns its revision."""
    revision = "9999"
    (folder / "9999_next.py").write_text(
        f'''"""What a later version might add."""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{revision}", "{head}"

def upgrade():
    op.add_column("tasks", sa.Column("next", sa.String(), nullable=True))
    op.create_index("ix_tasks_next", "tasks", ["next"])

def downgrade():
    op.drop_column("tasks", "next")
'''
    )
    where = run(
        *("docker", "run", "--rm", "--entrypoint", "python", IMAGE, "-c"),
        "import asynctasks.migrations as m; print(m.__path__[0])",
    ).strip()
    (folder / "Dockerfile").write_text(
        f"FROM {IMAGE}\nCOPY 9999_next.py {where}/versions/9999_next.py\n"
    )
    run("docker", "build", "--tag", NEXT_IMAGE, str(folder))
    return revision


def load(kubeconfig: Path, *images: str) -> None:
    """Give the cluster images of this machine."""
    (node,) = Kubectl(kubeconfig).get("nodes")["items"]
    name = node["metadata"]["name"].removesuffix("-control-plane")
    run(program("kind"), "load", "docker-image", "--name", name, *images)


class Release:
    """One `helm install`, in a namespace that enforces restricted Pod Security."""

    def __init__(self, kubeconfig: Path, *, name: str = "demo", namespace: str = "shop") -> None:
        self.kubeconfig = kubeconfig
        self.name = name
        self.full_name = f"{name}-asyncapiproxy"
        self.kubectl = Kubectl(kubeconfig, namespace)

    def helm(self, *arguments: str, seconds: float = 600, values: Json | None = None) -> str:
        """Helm's own arguments; raises CommandError."""
        given = ["--values", "-"] if values is not None else []
        return run(
            *(program("helm"), "--kubeconfig", str(self.kubeconfig)),
            *("--namespace", self.kubectl.namespace, *arguments, *given),
            seconds=seconds,
            given=None if values is None else json.dumps(values),
        )

    def apply(self, values: Json) -> str:
        """`helm upgrade --install --wait`: what it said."""
        return self.helm(
            *("upgrade", "--install", self.name, str(CHART), "--wait", "--timeout", "8m"),
            values=values,
        )

    def revision(self) -> str:
        """The task database's revision."""
        return self.sql("SELECT version_num FROM asyncapiproxy_schema_version")

    def sql(self, statement: str) -> str:
        """What the bundled PostgreSQL answers."""
        return self.kubectl(
            *("exec", f"{self.full_name}-postgresql-0", "--"),
            *("psql", "--username=asyncapiproxy", "--dbname=asyncapiproxy", "-At", "-c", statement),
        ).strip()

    def pods(self, component: str) -> list[Json]:
        """The pods of a component that are not on their way out."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        found = self.kubectl.get("pods", "-l", selector)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def kill(self, component: str) -> list[str]:
        """SIGKILL to every process of one component's pods, from the node; returns their names."""
        names = [pod["metadata"]["name"] for pod in self.pods(component)]
        (node,) = (each["metadata"]["name"] for each in self.kubectl.get("nodes")["items"])
        for name in names:
            run("docker", "exec", node, "sh", "-c", KILL, "kill", name)
        return names

    def restarts(self) -> int:
        """How often containers have been started again, in all pods."""
        return sum(
            status["restartCount"]
            for pod in self.kubectl.get("pods")["items"]
            for status in pod["status"].get("containerStatuses", [])
        )

    @property
    def url(self) -> str:
        """The proxy's Service, by its port on the node."""
        (node,) = self.kubectl.get("nodes")["items"]
        (address,) = (
            each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"
        )
        service = self.kubectl.get("service", f"{self.full_name}-proxy")
        return f"http://{address}:{service['spec']['ports'][0]['nodePort']}"
