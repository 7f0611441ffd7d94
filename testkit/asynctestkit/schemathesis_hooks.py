"""What OpenAPI cannot say of our headers and bodies, for schemathesis, which loads it by name."""
# pyright: basic
# Its types are incomplete.

import re
from uuid import uuid4

import schemathesis
from schemathesis import Case, HookContext

from asyncproxy.options_headers import KEY_PATTERN
from asynctasks.statements.batch_search import FITTING

LABELS = re.compile(r"[A-Za-z0-9]+=[A-Za-z0-9]*(, ?[A-Za-z0-9]+=[A-Za-z0-9]*)*")
KEY = re.compile(KEY_PATTERN)
SECONDS = re.compile(r"[1-9][0-9]{0,6}")
STATUSES = {action.value: statuses for action, statuses in FITTING.items()}


@schemathesis.hook
def filter_case(_context: HookContext, case: Case) -> bool:
    """A deadline is to come, and after the delay; schemathesis gives up on the labels' pattern.

    And of a batch's filter the status is one with which its action can be done, and of labels each
    has another name.
    """
    if not _is_fitting(case.body) or not _has_each_once((case.query or {}).get("label")):
        return False
    headers = case.headers or {}
    labels, deadline = headers.get("Task-Labels"), headers.get("Task-Deadline")
    if labels is not None and not LABELS.fullmatch(str(labels)):
        return False
    if deadline is None:
        return True
    delay = str(headers.get("Task-Delay", "0"))
    is_number = SECONDS.fullmatch(str(deadline)) and re.fullmatch(r"[0-9.]+", delay)
    return bool(is_number) and float(delay) < float(str(deadline))


def _is_fitting(body: object) -> bool:
    if not isinstance(body, dict) or not isinstance(body.get("filter"), dict):
        return True
    action, status = body.get("action"), body["filter"].get("status")
    fitting = STATUSES.get(action) if isinstance(action, str) else None
    has_each_once = _has_each_once(body["filter"].get("label"))
    return has_each_once and (fitting is None or status is None or status in fitting)


def _has_each_once(labels: object) -> bool:
    if not isinstance(labels, list):
        return True
    names = [str(label).partition("=")[0] for label in labels]
    return len(names) == len(set(names))


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, object]) -> None:
    """A key is used once: a later call with other arguments is rightly refused."""
    key = (case.headers or {}).get("Idempotency-Key")
    if key is not None and KEY.fullmatch(str(key)):
        case.headers["Idempotency-Key"] = str(uuid4())
