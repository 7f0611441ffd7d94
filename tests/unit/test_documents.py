"""The documents say what the code does."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from asyncexecutor.settings import ExecutorSettings
from asyncoperator.settings import OperatorSettings
from asyncproxy.access.access_file import DeclaredAccess, load_access_file
from asyncproxy.access.api_keys import DeclaredKey
from asyncproxy.batch_routes import BatchEndpoints, batch_routes
from asyncproxy.caller_routes import CallerEndpoints, caller_routes
from asyncproxy.health_routes import HealthEndpoints, health_routes
from asyncproxy.operating_routes import OperatingEndpoints, operating_routes
from asyncproxy.settings import ProxySettings
from asyncproxy.task_routes import TaskEndpoints, task_routes
from asynctasks.limits.limit import Bounds, Limit
from asynctasks.operations.declared_response import DeclaredResponse
from asynctasks.operations.operation import Operation
from asynctasks.operations.operations_file import parse_operations
from asynctasks.operations.parameter import Parameter
from asynctasks.operations.raw_body import RawBody
from asynctasks.operations.retry_policy import RetryPolicy
from asynctasks.operations.rewrite_location import RewriteLocation
from asynctasks.operations.upstream_auth import ClientCredentials, UpstreamAuth
from asynctasks.operations.upstream_call import UpstreamCall, UpstreamTls
from asynctasks.operations.upstream_poll import UpstreamPoll
from asynctasks.settings import PREFIX, MigrationSettings, Settings
from asynctasks.task import TaskStatus

ROOT = Path(__file__).parents[2]
SERVICES = ("tasks", "proxy", "executor")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


def rows(document: str) -> dict[str, list[str]]:
    """The rows of all tables whose first cell is a `word`, by that word."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / document).read_text().splitlines():
        if match := re.match(r"\| `([^`]+)` \|", line):
            assert match[1] not in found, f"{match[1]} stands there twice"
            found[match[1]] = [cell.strip() for cell in line.strip("|").split(" | ")]
    return found


def plain(cell: str) -> str:
    return cell.strip("`").replace(", ", ",")


def test_every_setting_is_documented_with_its_default():
    fields: dict[str, Any] = {}
    for settings in (
        Settings,
        MigrationSettings,
        ProxySettings,
        ExecutorSettings,
        OperatorSettings,
    ):
        fields |= settings.model_fields
    documented = rows("docs/configuration.md")
    assert set(documented) == {PREFIX + name.upper() for name in fields}
    for name, field in fields.items():
        assert plain(documented[PREFIX + name.upper()][1]) == shown_default(field.default), name


def shown_default(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return f"{default:.15g}"
    return str(default or "empty")


def test_every_key_of_the_operations_file_is_documented_with_its_default():
    documented = rows("docs/operations-file.md")
    keys: set[str] = set()
    for model in (
        Operation,
        RawBody,
        DeclaredResponse,
        Parameter,
        UpstreamCall,
        RewriteLocation,
        UpstreamTls,
        UpstreamAuth,
        ClientCredentials,
        RetryPolicy,
    ):
        of_file = model.model_fields.keys() - ({"name"} if model is Operation else set())
        keys |= {key_of(model, name) for name in of_file}
        for name, field in model.model_fields.items():
            if isinstance(field.default, int | float):
                default = shown_default(field.default)
                assert plain(documented[key_of(model, name)][1]) == default
    assert set(documented) == keys
    backoff = ",".join(f"{seconds:g}" for seconds in RetryPolicy().backoff_seconds)
    assert plain(documented["backoffSeconds"][1]) == f"[{backoff}]"
    statuses = ",".join(map(str, sorted(RetryPolicy().on_status)))
    assert plain(documented["onStatus"][1]) == f"[{statuses}]"


def test_every_key_of_a_poll_is_documented_with_its_default():
    documented = rows("docs/upstream-jobs.md")
    keys = dict(keys_below(UpstreamPoll))
    assert set(documented) == set(keys)
    for key, default in keys.items():
        told = plain(documented[key][1])
        if isinstance(default, int | float):
            assert told == f"{default:.15g}", key
        elif key in {"started", "everySeconds"}:
            assert told == str(list(default)).replace(" ", ""), key


def test_every_key_of_a_limit_is_documented_with_its_default():
    documented = rows("docs/limits.md")
    # Those below `perKey` are the limit's own once more.
    keys = {key: it for key, it in keys_below(Limit) if not key.startswith("perKey.")}
    assert set(documented) == set(keys) - {"name"}
    for key, cells in documented.items():
        shown = "none" if keys[key] is None else json.dumps(keys[key])
        assert plain(cells[1]) == shown.replace(" ", ""), key
    for key in Bounds.model_fields:
        assert f"`{key_of(Bounds, key)}`" in documented["perKey"][2]


def test_the_limits_that_are_shown_can_be_loaded():
    text = (ROOT / "docs/limits.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    operations = parse_operations(example, name="example")
    declared = {name: [it.name for it in op.declared_limits] for name, op in operations.items()}
    assert declared == {"create-client": ["crm"], "export-clients": ["crm", "exports"]}


def keys_below(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        key = prefix + key_of(model, name)
        yield key, field.get_default(call_default_factory=True)
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from keys_below(part, f"{key}.")


def key_of(model: type[BaseModel], name: str) -> str:
    return str(model.model_fields[name].validation_alias or name)


def test_the_operations_that_are_shown_can_be_loaded():
    text = (ROOT / "docs/operations-file.md").read_text()
    example = "".join(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    names = ["create-client", "rename-client", "scan", "report"]
    assert list(parse_operations(example, name="example")) == names


def test_every_key_of_the_access_file_is_documented_with_its_default():
    documented = rows("docs/access.md")
    keys = dict(keys_below(DeclaredAccess))
    leaves = {key for key in keys if not any(other.startswith(f"{key}.") for other in keys)}
    assert leaves <= set(documented) <= set(keys)
    for key, default in keys.items():
        if isinstance(default, str) and key in documented:
            assert plain(documented[key][1]) == (default or "empty"), key
        elif default is PydanticUndefined:
            assert documented.get(key, ["", "required"])[1] == "required", key


def test_the_access_file_that_is_shown_can_be_loaded(tmp_path: Path):
    text = (ROOT / "docs/access.md").read_text()
    access, volumes, keys = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert volumes.startswith("volumes:")
    (tmp_path / "keys.yaml").write_text(keys)
    # Only a pod has these.
    file = tmp_path / "access.yaml"
    file.write_text(re.sub(r"\n *(caFile|tokenFile): .*", "", access))
    found = load_access_file(file)
    assert len(found.authentication.jwt) == 2
    (key,) = found.api_keys.values()
    assert (key.principal.name, key.principal.tenant) == ("key:shop", "acme")
    told = text[text.index("## API keys") :]
    assert [name for name in DeclaredKey.model_fields if f"{name}:" not in told] == []


def test_every_problem_is_documented_with_its_status():
    documented = {name: cells[1] for name, cells in rows("docs/http-api.md").items()}
    problems = dict(found_problems())
    assert len(problems) > 20
    for name, status in problems.items():
        assert documented.get(name) == str(status), name
    in_tables = {name for name, status in documented.items() if status.isdigit()}
    assert in_tables == set(problems)


def found_problems() -> Iterator[tuple[str, int]]:
    """The type and status of each problem that the code makes, read from its text."""
    for tree in trees(SERVICES):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name_of(node.func) in {"Problem", "_Kind"}:
                yield from pair(*node.args[0:3:2])
            elif isinstance(node, ast.Call) and name_of(node.func) == "problem_response":
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                yield from pair(given.get("type"), given.get("status"))
    yield from failures()


def failures() -> Iterator[tuple[str, int]]:
    from asyncexecutor import failures  # noqa: PLC0415 - what it is called is said here

    for value in vars(failures).values():
        if isinstance(value, type) and issubclass(value, failures.AttemptFailedError):
            yield value.type, value.status


def pair(*nodes: ast.expr | None) -> Iterator[tuple[str, int]]:
    """Those that are literals; the others hand on what was literal elsewhere."""
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    if len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], int):
        yield values[0], values[1]


def name_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def trees(folders: tuple[str, ...]) -> Iterator[ast.Module]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(file.read_text())


def test_every_path_of_the_proxy_is_documented():
    text = (ROOT / "docs/http-api.md").read_text()
    of_tasks: Any = dict.fromkeys(TaskEndpoints.__dataclass_fields__)
    of_batches: Any = dict.fromkeys(BatchEndpoints.__dataclass_fields__)
    of_operating: Any = dict.fromkeys(OperatingEndpoints.__dataclass_fields__)
    of_callers: Any = dict.fromkeys(CallerEndpoints.__dataclass_fields__)
    of_health: Any = dict.fromkeys(HealthEndpoints.__dataclass_fields__)
    routers = (
        task_routes(TaskEndpoints(**of_tasks)),
        batch_routes(BatchEndpoints(**of_batches)),
        operating_routes(OperatingEndpoints(**of_operating)),
        caller_routes(CallerEndpoints(**of_callers)),
        health_routes(HealthEndpoints(**of_health)),
    )
    calls = {
        f"{method} {route.path}"
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
        # Said of all at once: the same with a slash, and HEAD.
        if method != "HEAD" and not route.path.endswith("/")
    }
    assert len(calls) >= 10
    assert [call for call in sorted(calls) if f"`{call}`" not in text] == []


def test_every_status_is_in_the_glossary():
    documented = rows("docs/glossary.md")
    assert set(documented) == set(TaskStatus)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda it: str(it.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in link:
            assert (document.parent / link).exists(), link


def test_services_call_by_aiohttp_and_aiormq_as_decision_3_says():
    imported: dict[str, set[str]] = {}
    for folder in SERVICES:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for name in imports(ast.parse(file.read_text())):
                imported.setdefault(name, set()).add(folder)
    assert imported.keys().isdisjoint({"httpx", "httpx_aiohttp", "aio_pika"})
    # Which serves probes by it, and which fetches issuers' keys by it.
    assert imported["aiohttp"] == {"executor", "tasks", "proxy"}
    assert imported["aiormq"] == {"tasks"}


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
