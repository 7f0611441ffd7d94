"""Load by `wrk`: a closed loop of callers, each of whom calls again as soon as it is answered."""

import json
import os
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

SCRIPT = Path(__file__).parent / "wrk.lua"
ANSWER_SECONDS = 60
"""A call that takes longer is a timeout; a slow system is to be seen as slow, not as failing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one run of wrk."""

    seconds: float
    sent: int
    good: int
    """Answers with the upstream's own result: 200 or 201. A 202 is none."""
    others: dict[str, int]
    """Every other answer by status, and what was no answer."""
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Good answers."""
        return self.good / self.seconds


def post_clients(
    urls: list[str],
    *,
    callers: int,
    seconds: float,
    delay_seconds: float = 0,
    is_spread: bool = False,
    prefer: str = "",
    path: str = "/clients",
    good: tuple[int, ...] = (200, 201),
    token: str = "",
) -> Load:
    """So many callers in all POST clients; with several URLs each gets its share of them.

    A path that ends with `headers` is sent five. The upstream takes `delay_seconds`, or where they
    are spread from half to one and a half of it. With a token each call bears it.
    """
    how = "spread" if is_spread else "slow"
    behaviour = f".{how}+{delay_seconds:g}" if delay_seconds else ""

    def run(url: str) -> Load:
        share = max(1, callers // len(urls))
        posts = ["post", f"b{uuid4().hex[:10]}", behaviour, *([prefer] if prefer else [])]
        return _wrk(f"{url}{path}", posts, callers=share, seconds=seconds, good=good, token=token)

    with ThreadPoolExecutor(len(urls)) as threads:
        return _sum(list(threads.map(run, urls)))


def wait_for_one(url: str, *, token: str = "") -> None:
    """Post one client and wait for whatever comes, behind all that the callers before have left.

    A system that works on one call at a time is idle by its CPU and yet has many to go.
    """
    client = {"email": f"last-{uuid4().hex}@example.com", "name": "Ann"}
    with suppress(httpx.HTTPError):
        httpx.post(
            f"{url}/clients",
            json=client,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=2 * ANSWER_SECONDS,
            trust_env=False,
        )


def get_paths(url: str, paths: Path, *, callers: int, seconds: float) -> Load:
    """GET the paths of a file, in turn."""
    return _wrk(url, ["get", str(paths)], callers=callers, seconds=seconds, good=(200,))


def _wrk(
    url: str,
    arguments: list[str],
    *,
    callers: int,
    seconds: float,
    good: tuple[int, ...],
    token: str = "",
) -> Load:
    command = [
        "wrk",
        "--threads=1",
        f"--connections={callers}",
        f"--duration={max(1, round(seconds))}s",
    ]
    command += [f"--timeout={ANSWER_SECONDS}s", f"--script={SCRIPT}", url, "--", *arguments]
    environment = os.environ | ({"BENCH_TOKEN": token} if token else {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"wrk failed:\n{done.stdout}\n{done.stderr}")
    result = json.loads(line.removeprefix("RESULT "))
    statuses = {int(status): count for status, count in result["statuses"].items()}
    others = {str(status): count for status, count in statuses.items() if status not in good}
    # wrk reads its timeouts off the connections that are still open, so they are not answered.
    others |= {name: result[name] for name in ("socket_errors", "timeouts") if result[name]}
    return Load(
        seconds=result["seconds"],
        sent=result["sent"],
        good=sum(count for status, count in statuses.items() if status in good),
        others=others,
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
    )


def _sum(loads: list[Load]) -> Load:
    others: Counter[str] = Counter()
    for load in loads:
        others.update(load.others)
    return Load(
        seconds=max(load.seconds for load in loads),
        sent=sum(load.sent for load in loads),
        good=sum(load.good for load in loads),
        others=dict(others),
        p50_ms=max(load.p50_ms for load in loads),
        p99_ms=max(load.p99_ms for load in loads),
    )
