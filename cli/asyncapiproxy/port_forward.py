"""A way to the proxy of a release in a cluster: `kubectl port-forward`, for as long as one command.

kubectl is asked, and not a library of ours: it signs in as its user does, whatever that takes.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from asyncapiproxy.in_cluster import InCluster

LABELS = "app.kubernetes.io/part-of=asyncapiproxy,app.kubernetes.io/component=proxy"
"""Of the chart's proxies, their pods and their Service."""
RELEASE_LABEL = "app.kubernetes.io/instance"
ANSWER_SECONDS = 10
START_SECONDS = 20.0
_FORWARDS = re.compile(r"^Forwarding from (127\.0\.0\.1:\d+) ", re.MULTILINE)
_KLOG = re.compile(r"[EIW]\d{4} ")
# What reads our pipe ends kubectl where nobody else can: when the pipe ends without a word.
_WITH_US = 'exec 3<&0; { read -r _ <&3 || kill $$; } & exec "$@" </dev/null 3<&-'
_POLL_SECONDS = 0.02
_RIGHTS = "It takes the rights to list services and pods, and to create pods/portforward."


class KubectlError(AsyncApiProxyError):
    """kubectl does not do what is asked of it."""


class ReleaseUnclearError(AsyncApiProxyError):
    """Not exactly one release has a proxy that can be asked."""


@contextmanager
def forwarded(wanted: InCluster) -> Generator[str]:
    """The URL at which that release's proxy answers until the block ends.

    kubectl ends with it, and with this process, however that ends. Raises KubectlError,
    ReleaseUnclearError.
    """
    service = service_of(wanted, _found(wanted))
    command = ["kubectl", *wanted.kubectl_options, "port-forward", "--address", "127.0.0.1"]
    command += [f"--pod-running-timeout={ANSWER_SECONDS}s", f"service/{service}", ":http"]
    with tempfile.TemporaryFile("w+") as output:
        # In a session of its own, where Ctrl-C is not told to it before we are done.
        process = subprocess.Popen(  # noqa: S603 - each word is an argument of its own
            ["/bin/sh", "-c", _WITH_US, "port-forward", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield f"http://{_forwarding(process, output)}"
        finally:
            process.kill()
            process.communicate(b"ended\n")


def service_of(wanted: InCluster, found: Sequence[dict[str, Any]]) -> str:
    """The name of the Service, of the Services and pods that are there.

    Raises ReleaseUnclearError where there is none, where there are several, and where none of its
    pods is ready.
    """
    services = {_release(each): each for each in found if each["kind"] == "Service"}
    if wanted.release:
        services = {name: each for name, each in services.items() if name == wanted.release}
    where = f"the namespace {wanted.namespace}" if wanted.namespace else "the current namespace"
    if not services:
        whose = f"of the release {wanted.release} " if wanted.release else ""
        raise ReleaseUnclearError(
            f"No proxy {whose}is in {where}: expected a Service with the labels {LABELS}. "
            "--namespace and --context say where to look."
        )
    if len(services) > 1:
        names = ", ".join(sorted(services))
        raise ReleaseUnclearError(f"Several releases are in {where}: {names}. --release names one.")
    ((name, service),) = services.items()
    pods = [each for each in found if each["kind"] == "Pod" and _release(each) == name]
    if not any(map(_is_ready, pods)):
        told = "".join(f"\n  {_told_of(pod)}" for pod in pods) or " It has none."
        raise ReleaseUnclearError(f"The release {name} has no proxy's pod that is ready.{told}")
    return service["metadata"]["name"]


def _found(wanted: InCluster) -> list[dict[str, Any]]:
    """The Services and pods of proxies."""
    done = _kubectl(
        *wanted.kubectl_options,
        *("get", "services,pods", "--selector", LABELS, "--output", "json"),
        f"--request-timeout={ANSWER_SECONDS}s",
    )
    if not done.returncode:
        return json.loads(done.stdout)["items"]
    if not wanted.context and _kubectl("config", "current-context").returncode:
        raise KubectlError(
            "kubectl has no current context: --context names one, `kubectl config use-context` "
            "sets it, and KUBECONFIG names the file that has it."
        )
    raise _refused(done.stderr)


def _kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - as above
            ["kubectl", *arguments],  # noqa: S607 - that of the person's PATH, as they mean it
            # What is piped to us is the task's.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * ANSWER_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise KubectlError("kubectl is not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise KubectlError(f"kubectl did not answer within {2 * ANSWER_SECONDS} s") from error


def _forwarding(process: subprocess.Popen[bytes], output: IO[str]) -> str:
    """The address on which kubectl listens, once it does."""
    ends = time.monotonic() + START_SECONDS
    while True:
        is_over = process.poll() is not None
        output.seek(0)
        said = output.read()
        if found := _FORWARDS.search(said):
            return found[1]
        if is_over:
            raise _refused(said)
        if time.monotonic() > ends:
            raise KubectlError(f"kubectl forwards nothing after {START_SECONDS:g} s. {said}")
        time.sleep(_POLL_SECONDS)


def _refused(said: str) -> KubectlError:
    """What kubectl said, without what it logs."""
    told = "\n".join(line for line in said.splitlines() if line and not _KLOG.match(line))
    rights = f"\n{_RIGHTS}" if "forbidden" in told.lower() else ""
    return KubectlError(f"kubectl: {told or 'it ended without a word'}{rights}")


def _release(found: dict[str, Any]) -> str:
    return found["metadata"]["labels"].get(RELEASE_LABEL, "")


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return "deletionTimestamp" not in pod["metadata"] and any(
        each["type"] == "Ready" and each["status"] == "True" for each in conditions
    )


def _told_of(pod: dict[str, Any]) -> str:
    """Where a pod stands, as `kubectl get pods` would have it."""
    status = pod["status"]
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    states = [each.get("state", {}).get("waiting", {}).get("reason") for each in containers]
    told = [status.get("phase", "Unknown"), *filter(None, states)]
    if "deletionTimestamp" in pod["metadata"]:
        told = ["Terminating"]
    return f"{pod['metadata']['name']}: {', '.join(told)}"
