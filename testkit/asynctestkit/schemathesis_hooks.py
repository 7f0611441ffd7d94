"""What OpenAPI cannot say of our headers, for schemathesis, which loads this module by name."""
# pyright: basic
# Its types are incomplete.

import re
from uuid import uuid4

import schemathesis
from schemathesis import Case, HookContext

LABELS = re.compile(r"[A-Za-z0-9]+=[A-Za-z0-9]*(, ?[A-Za-z0-9]+=[A-Za-z0-9]*)*")
KEY = re.compile(r"[!#-~]([ -~]{0,253}[!#-~])?")
SECONDS = re.compile(r"[1-9][0-9]{0,6}")


@schemathesis.hook
def filter_case(_context: HookContext, case: Case) -> bool:
    """A deadline is to come, and after the delay; schemathesis gives up on the labels' pattern."""
    headers = case.headers or {}
    labels, deadline = headers.get("Task-Labels"), headers.get("Task-Deadline")
    if labels is not None and not LABELS.fullmatch(str(labels)):
        return False
    if deadline is None:
        return True
    delay = str(headers.get("Task-Delay", "0"))
    is_number = SECONDS.fullmatch(str(deadline)) and re.fullmatch(r"[0-9.]+", delay)
    return bool(is_number) and float(delay) < float(str(deadline))


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, object]) -> None:
    """A key is used once: a later call with other arguments is rightly refused."""
    key = (case.headers or {}).get("Idempotency-Key")
    if key is not None and KEY.fullmatch(str(key)):
        case.headers["Idempotency-Key"] = str(uuid4())
