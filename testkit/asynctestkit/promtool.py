"""Prometheus' own tool, which checks rules and tests what they make of series."""

import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from asynctestkit.helm import programs

Groups = list[dict[str, Any]]


class PromtoolError(AssertionError):
    """It refused the rules, or they do not do what is expected; the text is what it said."""


def promtool_program() -> str | None:
    """The program, on the PATH or where `./dev` puts it."""
    return shutil.which("promtool") or shutil.which("promtool", path=programs())


def check_rules(groups: Groups) -> None:
    """Raises PromtoolError where it finds a fault in them."""
    _run("check", "rules", rules={"groups": groups})


def check_firing(
    groups: Groups, series: Mapping[str, str], *, after: str, expected: Collection[str]
) -> None:
    """Raises PromtoolError where not just these alerts fire after so long.

    The series have a value each minute, in promtool's notation: `0+5x60` grows by 5 sixty times.
    """
    expectations = [
        {
            "expr": f'(count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0)'
            " or vector(0)",
            "eval_time": after,
            "exp_samples": [{"labels": "{}", "value": int(alert in expected)}],
        }
        for alert in (rule["alert"] for group in groups for rule in group["rules"])
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": expectations,
    }
    _run(
        *("test", "rules"),
        rules={"groups": groups},
        test={"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]},
    )


def _run(*command: str, **documents: Any) -> None:
    """Run it over the last of these documents, each of which is in a file of its name."""
    program = promtool_program()
    assert program is not None, "promtool is not installed"
    with TemporaryDirectory() as folder:
        for name, document in documents.items():
            (Path(folder) / f"{name}.yaml").write_text(yaml.safe_dump(document))
        done = subprocess.run(
            [program, *command, f"{list(documents)[-1]}.yaml"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise PromtoolError(done.stdout + done.stderr)
