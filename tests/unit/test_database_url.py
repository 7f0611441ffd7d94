"""What the URL of the task database may say, as libpq writes it, and what becomes of it."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from asynctasks.database_url import parse_database_url, postgresql_arguments
from asynctasks.errors import SettingsError

PASSWORD = "s3cr3t-Zaphod"
START = f"postgresql://ann:{PASSWORD}@db/tasks"


def arguments(url: str) -> dict[str, Any]:
    return postgresql_arguments(parse_database_url(url))


def dsn(url: str) -> dict[str, str]:
    query = urlsplit(str(arguments(url)["dsn"])).query
    return {name: value[0] for name, value in parse_qs(query, strict_parsing=True).items()}


def test_user_password_and_names_reach_the_driver_as_they_were_meant():
    assert dsn("postgres://a%40b:p%2Fw%40%26%3D@db:6432/my%20tasks") == {
        "user": "a@b",
        "password": "p/w@&=",
        "host": "db",
        "port": "6432",
        "dbname": "my tasks",
    }


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://ann@a:5432,b:5433/tasks", "a:5432,b:5433"),
        ("postgresql://ann@a,b/tasks", "a,b"),
        ("postgresql:///tasks?host=a,b&port=5432,5433", "a,b"),
        ("postgresql:///tasks?host=/run/postgresql", "/run/postgresql"),
        ("postgresql://ann@[::1]:5432/tasks", "[::1]"),
    ],
)
def test_hosts_may_be_several(url: str, hosts: str):
    assert dsn(url + ("&" if "?" in url else "?") + "target_session_attrs=read-write") == {
        **dsn(url),
        "host": hosts,
        "target_session_attrs": "read-write",
    }


def test_what_the_driver_knows_is_handed_on(tmp_path: Path):
    file = tmp_path / "some.pem"
    file.touch()
    query = f"sslmode=verify-full&sslrootcert={file}&sslcert={file}&sslkey={file}"
    assert dsn(f"{START}?{query}").items() >= {
        ("sslmode", "verify-full"),
        ("sslrootcert", str(file)),
        ("sslcert", str(file)),
        ("sslkey", str(file)),
    }
    assert dsn(f"{START}?ssl=require")["sslmode"] == "require"


def test_what_it_calls_otherwise_is_translated():
    asked = arguments(
        f"{START}?connect_timeout=3&options=-c%20search_path%3Dours&fallback_application_name=us"
    )
    assert asked["timeout"] == 3
    assert asked["server_settings"] == {
        "options": "-c search_path=ours",
        "application_name": "us",
    }
    given = arguments(f"{START}?application_name=me&fallback_application_name=us")
    assert given["server_settings"] == {"application_name": "me"}


def test_what_it_does_without_being_told_is_left_out():
    query = "channel_binding=prefer&gssencmode=disable&client_encoding=utf8&sslsni=1"
    assert arguments(f"{START}?{query}") == arguments(START)


def test_the_machines_own_certificates_are_libpqs_system():
    asked = arguments(f"{START}?sslrootcert=system&sslmode=verify-full")
    assert asked["ssl"].verify_mode is ssl.CERT_REQUIRED
    assert asked["ssl"].check_hostname
    assert "ssl" not in asked["dsn"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("channel_binding=require", "'channel_binding' that cannot be honoured: expected disable"),
        ("sslmode=strict", "'sslmode' that cannot be honoured: expected allow"),
        ("target_session_attrs=standby", "'target_session_attrs' that cannot be honoured"),
        ("hostaddr=10.0.0.1", "the parameter 'hostaddr', which cannot be honoured"),
        ("keepalives_idle=5", "the parameter 'keepalives_idle', which cannot be honoured"),
        ("search_path=x", "goes into options=-c%20name%3Dvalue"),
        ("connect_timeout=soon", "a connect_timeout that is no number of seconds"),
        ("connect_timeout=0", "a connect_timeout that is no number of seconds"),
        ("sslrootcert=/no/ca.pem", "a sslrootcert that cannot be read: /no/ca.pem: No such file"),
        ("sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("port=many", "a port that is no number"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name_and_tells_no_password(query: str, told: str):
    with pytest.raises(SettingsError) as caught:
        parse_database_url(f"{START}?{query}")
    assert str(caught.value).startswith("ASYNCAPIPROXY_DATABASE_URL ")
    assert told in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("hosts", ["a:x,b:1", "a,,b"])
def test_a_host_that_makes_no_sense_is_refused(hosts: str):
    with pytest.raises(SettingsError, match="a host without a name or with a port"):
        parse_database_url(f"postgresql://ann:{PASSWORD}@{hosts}/tasks")


def test_sqlite_takes_no_parameters():
    with pytest.raises(SettingsError, match="the parameter 'mode': sqlite:/// takes none"):
        parse_database_url("sqlite:///tasks.db?mode=ro")
