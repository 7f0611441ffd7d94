"""Settings that every service has, and how a wrong one is told.

Each service adds its own in its own `settings.py`. They are read once, in the command, and passed
down. A variable is named `ASYNCAPIPROXY_` and the field's name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from asynctasks.callbacks.addresses import CallableAddresses
from asynctasks.callbacks.allow import NO_URLS, AllowedUrls
from asynctasks.callbacks.signing import SigningKeys
from asynctasks.database_url import parse_database_url, user_and_password
from asynctasks.errors import SettingsError, in_our_words
from asynctasks.logs import LogFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic.fields import FieldInfo

PREFIX = "ASYNCAPIPROXY_"
SEALING_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
"""A Fernet key: 32 bytes."""
PLACE_FOR_BLOBS = re.compile(r"database|file:///[^?#]+|(s3|gs|az)://[^/?#@]+(/[^?#]*)?")
LONGEST_SECONDS = 100 * 365.25 * 86_400
"""More than this no database can add to a time."""
NOT_OURS = frozenset({f"{PREFIX}URL", f"{PREFIX}TOKEN"})
"""Variables with our prefix that `asyncapiproxy task` reads, and no service."""


class DatabaseSettings(BaseSettings):
    """What a process needs to know that only uses the task database."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    database_url: str = Field(repr=False)
    """postgresql://user:password@host/database or sqlite:///file.db."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug` is ours alone: libraries say no more than at `info`."""
    log_format: LogFormat = "auto"
    """`auto` is coloured text on a terminal and JSON elsewhere."""

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: str) -> str:
        try:
            parse_database_url(value)
        except SettingsError as error:
            raise ValueError(str(error).removeprefix(f"{PREFIX}DATABASE_URL ")) from error
        return value

    @classmethod
    def read(cls, given: Mapping[str, Any] | None = None) -> Self:
        """The settings of the environment, with those given on the command line before them.

        Raises SettingsError, naming each variable that is wrong.
        """
        chosen = {name: value for name, value in (given or {}).items() if value is not None}
        try:
            return cls(**chosen)
        except ValidationError as error:
            faults = (_fault(fault, cls.model_fields) for fault in error.errors())
            raise SettingsError("\n".join(faults)) from error


class MigrationSettings(DatabaseSettings):
    """What the migration needs to know."""

    service_database_url: str | None = Field(default=None, repr=False)
    """By which services use the task database, where that is another user: one that reads and
    writes rows, and is made if need be."""

    @field_validator("service_database_url")
    @classmethod
    def _has_user(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                user_and_password(value)
            except SettingsError as error:
                raise ValueError(str(error).removeprefix(f"{PREFIX}DATABASE_URL ")) from error
        return value


def separated(value: Any) -> Any:
    """The parts of a text that has several, separated by commas; anything else as it is."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


class _OfTexts(Protocol):
    @classmethod
    def of(cls, texts: Iterable[str]) -> Self: ...


def _read_as(kind: type[_OfTexts]) -> Callable[[Any], Any]:
    """Reads a variable of several into one value."""

    def read(value: Any) -> Any:
        return value if isinstance(value, kind) else kind.of(separated(str(value)))

    return read


class Settings(DatabaseSettings):
    """The settings that all services have."""

    broker_url: str = Field(repr=False)
    """amqp://user:password@host/vhost, amqps://…, or memory:// where all runs in one process."""
    broker_prefix: str = Field(
        default="asyncapiproxy",
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$",
        description="letters, digits, '.', '_' and '-', 100 at most, such as orders-test",
    )
    """Begins the name of each of our queues, so that installations can share a broker."""
    publish_seconds: float = Field(default=5, gt=0, le=60)
    """How long a publish waits for the broker's confirm; then the relay does it later."""
    publish_grace_seconds: float = Field(default=30, ge=1, le=3_600)
    """When a task that nobody has claimed is published again: its message may be lost."""
    queue_window: int | None = Field(default=None, ge=1, le=1_000_000)
    """So many messages a queue may have; what comes beyond them waits in the task database. By
    default ten times what its executors run at once, and 1000 at least."""
    operations_file: Path = Path("operations.yaml")
    sealing_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Fernet keys separated by commas, the newest first: it seals, and any unseals."""
    database_connections: int = Field(default=10, ge=1, le=200)
    """Connections a process holds at most. Writes are grouped, so a few carry much."""
    blobs: str = Field(default="database", repr=False)
    """Where bodies are kept that are too large for a row: database, file:///…, s3://…, gs://… or
    az://…, with a bucket and a path. Of all services one and the same."""
    inline_body_bytes: int = Field(default=65_536, ge=0, le=1_048_576)
    """A larger body of a caller or an upstream is kept there."""
    callback_allow: Annotated[AllowedUrls, NoDecode, PlainValidator(_read_as(AllowedUrls))] = (
        NO_URLS
    )
    """The URLs that may be told of tasks' ends, as patterns separated by commas:
    https://*.example.com. Empty: callbacks are off."""
    callback_networks: Annotated[
        CallableAddresses, NoDecode, PlainValidator(_read_as(CallableAddresses))
    ] = CallableAddresses()
    """Networks of our own in which receivers may be, separated by commas: 10.20.0.0/16. No others
    than public addresses may be else."""
    callback_keys: Annotated[SigningKeys, NoDecode, PlainValidator(_read_as(SigningKeys))] = (
        SigningKeys()
    )
    """What signs callbacks, separated by commas: whsk_ and whsec_ keys, of each kind the newest
    first, and two at most while they rotate."""
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?(/[A-Za-z0-9._~-]+)*$",
        description="a scheme, host and path, or a path alone, without a slash at the end, such as "
        "https://tasks.example.com/api or /api",
    )
    """What the addresses that callers are given begin with: scheme, host and path, or the path
    alone, where something in front takes one off."""
    health_port: int = Field(default=0, ge=0, le=65_535)
    """Serves /healthz, /readyz and /metrics, which are nothing for callers; 0 serves none."""

    @field_validator("broker_url")
    @classmethod
    def _is_broker(cls, value: str) -> str:
        if not value.startswith(("amqp://", "amqps://", "memory://")):
            raise ValueError("expected amqp://user:password@host/vhost, amqps://… or memory://")
        if not value.startswith("memory://"):
            _check_broker_url(value)
        return value

    @field_validator("blobs")
    @classmethod
    def _is_place_for_blobs(cls, value: str) -> str:
        if not PLACE_FOR_BLOBS.fullmatch(value):
            raise ValueError(
                "expected database, file:///folder, s3://bucket/path, gs://bucket/path or "
                "az://container/path"
            )
        return value

    @field_validator("sealing_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        keys = separated(value)
        for number, key in enumerate(keys, 1):
            # Python's base64 leaves out what it does not know: two keys joined by anything else
            # than a comma would be one key.
            if not SEALING_KEY.fullmatch(key):
                raise ValueError(
                    f"key {number} is none; keys are separated by commas, and "
                    "`asyncapiproxy sealing-key` makes one"
                )
        return keys

    @property
    def keys(self) -> list[str]:
        """The sealing keys in the clear."""
        return [key.get_secret_value() for key in self.sealing_keys]


def _check_broker_url(value: str) -> None:
    """Refuse what the client could not read: it would quote the password."""
    try:
        url = urlsplit(value)
        is_whole = bool(url.hostname) and url.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError(
            "is no URL with a host and a port that is a number: "
            "expected amqp://user:password@host/vhost, with % encoding in user and password"
        )
    if set(value) & set("# ") or urlsplit(value).path.count("/") > 1:
        raise ValueError("holds a '#', a space, or a '/' in its vhost: write %23, %20 and %2F")


def check_settings(given: Mapping[str, Any], *kinds: type[DatabaseSettings]) -> None:
    """Raise SettingsError with all that is wrong in the settings of any of these services."""
    faults: dict[str, None] = {}
    for kind in kinds:
        try:
            kind.read(given)
        except SettingsError as error:
            faults |= dict.fromkeys(str(error).splitlines())
    if faults:
        raise SettingsError("\n".join(faults))


def _fault(fault: Any, fields: Mapping[str, FieldInfo]) -> str:
    variable = PREFIX + str(fault["loc"][0]).upper()
    if fault["type"] == "missing":
        return f"{variable} is not set"
    message = in_our_words(str(fault["msg"]))
    if fault["type"] == "string_pattern_mismatch":
        message = f"expected {fields[fault['loc'][0]].description}"
    shown = "" if variable.endswith(("KEYS", "URL", "BLOBS")) else f" (it is {fault['input']!r})"
    return f"{variable}: {message}{shown}"


def unknown_variables(*known: type[DatabaseSettings]) -> list[str]:
    """Variables with our prefix that no settings class knows: most likely misspelt."""
    names = {PREFIX + field.upper() for settings in known for field in settings.model_fields}
    names |= NOT_OURS
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in names)
