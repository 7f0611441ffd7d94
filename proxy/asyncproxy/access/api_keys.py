"""The file of API keys: their hashes alone, never a key."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from asyncproxy.access.principal import Principal
from asynctasks.declarations.declared import PRINTABLE, UNQUOTED, Declared
from asynctasks.declarations.declared_file import parse_text, read_text
from asynctasks.errors import AccessFileError
from asynctasks.json_values import as_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynctasks.declarations.declared_file import Read, Report

BEGINNING = "aap_"
"""Of each key that we make: scanners for secrets that leaked know it by that."""
NAME = re.compile(r"(?!aap_)[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_KEY = re.compile(rf"(?<=[ .'\"]){BEGINNING}[\w-]+")
"""A key where a message has a name, which is not in the path of the file."""


def new_key() -> str:
    """A key that nobody guesses: 256 bits."""
    return BEGINNING + secrets.token_urlsafe(32)


def sha256_of(key: str) -> bytes:
    """What stands for the key in the file. A key is random, so no slower hash is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _digests(value: Any) -> tuple[bytes, ...]:
    """Without the value in the message: it may be a key that should have been hashed."""
    hashes: list[Any] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType] - of YAML
    if not hashes or not all(isinstance(one, str) and _SHA256.fullmatch(one) for one in hashes):
        raise PydanticCustomError(
            UNQUOTED, "expected the key's SHA-256 in 64 hexadecimal digits, or a list of them"
        )
    digests = tuple(bytes.fromhex(one) for one in hashes)
    if sha256_of("") in digests:
        raise PydanticCustomError(UNQUOTED, "this is the SHA-256 of an empty text, which is no key")
    return digests


def parse_expires(value: Any) -> datetime:
    """A day, at whose beginning (UTC) the key ends, or a time; raises ValueError."""
    fault = "expected a day (2027-01-31) or a time with its zone (2027-01-31T12:00:00Z)"
    if not isinstance(value, str):
        raise ValueError(fault)  # noqa: TRY004 - pydantic's way
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(fault) from None
    if _DAY.fullmatch(value):
        return parsed.replace(tzinfo=UTC)
    if parsed.tzinfo is None:
        raise ValueError(fault)
    return parsed


Label = Annotated[str, Field(min_length=1, max_length=256), PRINTABLE]


class DeclaredKey(Declared):
    """One principal that proves itself by a key."""

    sha256: Annotated[tuple[bytes, ...], BeforeValidator(_digests)]
    """One hash, or several while a key is replaced."""
    tenant: Label | None = None
    groups: tuple[Label, ...] = ()
    expires: Annotated[datetime, BeforeValidator(parse_expires)] | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Whose key it is, and until when."""

    principal: Principal
    expires_at: float
    """In seconds since 1970; infinity where it never does."""


ApiKeys = dict[bytes, ApiKey]
"""The keys by their SHA-256."""


def load_api_keys(file: Path, *, prefix: str, read: Read = Path.read_bytes) -> ApiKeys:
    """The keys of the file; raises AccessFileError, which never quotes a value or a key."""
    try:
        return _loaded(file, prefix=prefix, read=read)
    except AccessFileError as error:
        raise AccessFileError(_KEY.sub(f"{BEGINNING}…", str(error))) from None


def _loaded(file: Path, *, prefix: str, read: Read) -> ApiKeys:
    text = read_text(file, error=AccessFileError, read=read)
    document, report = parse_text(text, name=str(file), error=AccessFileError)
    declared = {} if document is None else as_object(document)
    if declared is None:
        report.add((), "expected names, and below each its sha256")
        declared = {}
    keys: ApiKeys = {}
    for name, declaration in declared.items():
        for digest, key in _keys(name, declaration, report, prefix=prefix).items():
            if digest in keys:
                report.add((name, "sha256"), f"{keys[digest].principal.name} has the same key")
            keys[digest] = key
    report.raise_if_any()
    return keys


def _keys(name: str, declaration: Any, report: Report, *, prefix: str) -> Mapping[bytes, ApiKey]:
    if not NAME.fullmatch(name):
        report.add(
            (name,),
            "expected a name of letters, digits and . _ @ -, 128 at most: shop-backend; "
            f"{BEGINNING} is how keys begin",
        )
        return {}
    try:
        declared = DeclaredKey.model_validate(declaration)
    except ValidationError as error:
        report.add_all(error, DeclaredKey, at=(name,), are_values_secret=True)
        return {}
    report.add_empty(declaration, at=(name,))
    principal = Principal(
        name=prefix + name, tenant=declared.tenant or "", groups=frozenset(declared.groups)
    )
    expires_at = math.inf if declared.expires is None else declared.expires.timestamp()
    return dict.fromkeys(declared.sha256, ApiKey(principal, expires_at))
