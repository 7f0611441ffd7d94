"""The URL of the task database: what it may say, and what of it the driver is handed.

For PostgreSQL that is libpq's URI, as hosted services give it out. Our driver understands most of
its parameters; the rest is translated, or refused by its name rather than ignored. No error here
quotes the URL, which holds a password.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from asynctasks.errors import SettingsError

BACKENDS = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}
SEVERAL_HOSTS = re.compile(
    r"(?P<before>[\w+]+://(?:[^@]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>.*)"
)

HANDED_ON = frozenset(
    {
        *("host", "port", "user", "password", "dbname", "passfile", "service"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
        *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
        *("target_session_attrs", "krbsrvname", "gsslib"),
    }
)
"""asyncpg reads these in a URL as libpq does."""
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
SERVER_SETTINGS = ("application_name", "options")
"""What libpq, too, sends to the server when it connects."""
ACCEPTED: dict[str, frozenset[str]] = {
    "sslmode": frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}),
    "sslnegotiation": frozenset({"postgres", "direct"}),
    "target_session_attrs": frozenset({"any", "read-write", "primary"}),
    "channel_binding": frozenset({"disable", "prefer"}),
    "client_encoding": frozenset({"auto", "utf8", "utf-8", "UTF8", "UTF-8"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "load_balance_hosts": frozenset({"disable"}),
    "sslcompression": frozenset({"0"}),
    "sslsni": frozenset({"1"}),
}
"""Values we can honour. What is no parameter of the driver is what it does without being told."""
HOST = r"(\[[^\[\],/]+\]|[^\[\],:]+)(:\d{1,5})?"
MADE_AS = {
    "host": re.compile(rf"{HOST}(,{HOST})*"),
    "port": re.compile(r"\d{1,5}(,\d{1,5})*"),
    "connect_timeout": re.compile(r"[1-9]\d{0,3}"),
}
NOT_MADE_SO = {
    "host": "has a host without a name or with a port that is no number",
    "port": "has a port that is no number",
    "connect_timeout": "has a connect_timeout that is no number of seconds",
}
OURS = frozenset({"connect_timeout", "fallback_application_name", *SERVER_SETTINGS})


def parse_database_url(database_url: str) -> URL:
    """The URL's parts; raises SettingsError where it names no database that we can use."""
    url = _parts(database_url)
    backend = BACKENDS.get(url.drivername.partition("+")[0])
    if backend is None:
        raise _fault(
            f"names {url.drivername.partition('+')[0]!r}: expected postgresql:// or sqlite:///"
        )
    url = url.set(drivername=backend)
    if backend == "postgresql":
        postgresql_arguments(url)
    elif url.database in (None, "", ":memory:"):
        raise _fault("names no file: expected sqlite:///file.db")
    elif url.query:
        raise _fault(f"has the parameter {min(url.query)!r}: sqlite:/// takes none")
    return url


def user_and_password(database_url: str) -> tuple[str, str]:
    """Those of a URL for PostgreSQL; raises SettingsError where it lacks one of them."""
    given = _libpq_parameters(parse_database_url(database_url))
    if not database_url.startswith("postgres") or not {"user", "password"} <= given.keys():
        raise _fault("expected postgresql://user:password@host/database")
    return given["user"], given["password"]


def postgresql_arguments(url: URL) -> dict[str, Any]:
    """What asyncpg is called with; raises SettingsError for what cannot be honoured."""
    given = _libpq_parameters(url)
    for name, value in given.items():
        _check(name, value)
    arguments: dict[str, Any] = {}
    if "connect_timeout" in given:
        arguments["timeout"] = int(given["connect_timeout"])
    if given.get("sslrootcert") == "system":
        arguments["ssl"] = _system_ssl(given)
    server_settings = {name: given[name] for name in SERVER_SETTINGS if name in given}
    if name := given.get("fallback_application_name"):
        server_settings.setdefault("application_name", name)
    handed_on = {name: value for name, value in given.items() if name in HANDED_ON}
    return {
        "dsn": f"postgresql://?{urlencode(handed_on)}" if handed_on else "postgresql://",
        "server_settings": server_settings,
        **arguments,
    }


def _parts(database_url: str) -> URL:
    hosts = None
    if several := SEVERAL_HOSTS.fullmatch(database_url):
        database_url = several["before"] + several["rest"]
        hosts = several["hosts"]
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise _fault(
            "is no URL: expected postgresql://user:password@host/database or sqlite:///file.db"
        ) from None
    except ValueError:
        # Its text quotes what stands in the port's place, which may be a part of the password.
        raise _fault("has a port that is no number") from None
    return url.update_query_dict({"host": hosts}) if hosts else url


def _libpq_parameters(url: URL) -> dict[str, str]:
    """All that the URL says, by libpq's names; what stands before the `?` comes first."""
    given = {
        name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()
    }
    if "ssl" in given:  # another driver's name for it
        mode = given.pop("ssl")
        given.setdefault("sslmode", "require" if mode == "true" else mode)
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host
    before: dict[str, str | None] = {
        "host": host,
        "port": str(url.port) if url.port else None,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
    }
    given |= {name: value for name, value in before.items() if value}
    return {name: value for name, value in given.items() if value}


def _check(name: str, value: str) -> None:
    if name not in HANDED_ON | OURS | ACCEPTED.keys():
        raise _fault(
            f"has the parameter {name!r}, which cannot be honoured here; what the server shall be "
            "told goes into options=-c%20name%3Dvalue"
        )
    if name in ACCEPTED and value not in ACCEPTED[name]:
        expected = ", ".join(sorted(ACCEPTED[name]))
        raise _fault(f"has a value of {name!r} that cannot be honoured: expected {expected}")
    if name in MADE_AS and not MADE_AS[name].fullmatch(value):
        raise _fault(NOT_MADE_SO[name])
    if name in FILES and value != "system":
        _check_file(name, Path(value))


def _check_file(name: str, file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise _fault(f"has a {name} that cannot be read: {file}: {error.strerror}") from error


def _system_ssl(given: dict[str, str]) -> ssl.SSLContext:
    """The certificates that this machine trusts, and the host's name checked, as libpq does."""
    if given.pop("sslmode", "verify-full") != "verify-full":
        raise _fault("has sslrootcert=system, which needs sslmode=verify-full")
    del given["sslrootcert"]
    context = ssl.create_default_context()
    if "sslcert" in given:
        context.load_cert_chain(
            given.pop("sslcert"), given.pop("sslkey", None), given.pop("sslpassword", None)
        )
    return context


def _fault(text: str) -> SettingsError:
    return SettingsError(f"ASYNCAPIPROXY_DATABASE_URL {text}")
