"""A wrong setting is named by its variable, and no secret is shown."""

from pathlib import Path
from typing import Any

import pytest

from asyncexecutor.settings import ExecutorSettings
from asyncoperator.settings import OperatorSettings
from asyncproxy.settings import ProxySettings
from asynctasks.errors import SettingsError
from asynctasks.settings import Settings, check_settings, unknown_variables

PASSWORD = "s3cr3t-Zaphod"
NEW, OLD = (letter * 43 + "=" for letter in "NO")
GOOD = {
    "ASYNCAPIPROXY_DATABASE_URL": f"postgresql://ann:{PASSWORD}@db/tasks",
    "ASYNCAPIPROXY_BROKER_URL": f"amqp://ann:{PASSWORD}@broker/",
    "ASYNCAPIPROXY_SEALING_KEYS": f"{NEW}, {OLD} ,",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Hold no variables of ours but the good ones."""
    for name in unknown_variables():
        monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def fault(kind: type[Settings] = Settings, given: dict[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        kind.read(given)
    cause = f"{caught.value.__cause__} {caught.value.__cause__!r}"
    for told in (str(caught.value), cause):
        assert not any(secret in told for secret in (PASSWORD, NEW, OLD))
    return str(caught.value)


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch):
    environment.setenv("ASYNCAPIPROXY_OPERATIONS_FILE", "/etc/operations.yaml")
    environment.setenv("ASYNCAPIPROXY_PUBLISH_SECONDS", "2.5")
    settings = Settings.read()
    assert settings.database_url == GOOD["ASYNCAPIPROXY_DATABASE_URL"]
    assert settings.operations_file == Path("/etc/operations.yaml")
    assert settings.publish_seconds == 2.5


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PUBLISH_SECONDS", "soon", "expected a valid number"),
        ("PUBLISH_SECONDS", "0", "expected greater than 0 (it is '0')"),
        ("DATABASE_CONNECTIONS", "0", "expected greater than or equal to 1 (it is '0')"),
        ("DATABASE_CONNECTIONS", "", "expected a valid integer"),
        ("LOG_FORMAT", "console", "expected 'auto', 'json' or 'text' (it is 'console')"),
        ("LOG_LEVEL", "loud", "expected 'debug', 'info', 'warning' or 'error' (it is 'loud')"),
        *(
            ("BLOBS", value, "expected database, file:///folder, s3://bucket/path, gs://bucket/")
            for value in (
                "",
                "/var/blobs",
                "file://blobs",
                "s3:/bucket",
                "s3://",
                "ftp://host/path",
                "s3://key:hunter2@bucket/path",
                "https://s3.example.com/bucket",
            )
        ),
        ("INLINE_BODY_BYTES", "-1", "expected greater than or equal to 0 (it is '-1')"),
        ("INLINE_BODY_BYTES", "2000000", "expected less than or equal to 1048576"),
        ("BROKER_PREFIX", "a b", "expected letters, digits"),
        ("BROKER_URL", f"http://ann:{PASSWORD}@b/", "expected amqp://user:password@host/vhost,"),
        ("BROKER_URL", f"amqp://ann:{PASSWORD}@broker:port/", "is no URL with a host and a port"),
        ("BROKER_URL", f"amqp://ann:{PASSWORD}@:5672/", "is no URL with a host and a port"),
        ("BROKER_URL", f"amqp://ann:{PASSWORD}@[::1/", "is no URL with a host and a port"),
        ("BROKER_URL", f"amqp://ann:{PASSWORD}@broker/a/b", "holds a '#', a space, or a '/' in"),
        ("BROKER_URL", f"amqp://ann:{PASSWORD}#@broker/", "is no URL with a host and a port"),
        ("BROKER_URL", f"amqp://ann@broker/#{PASSWORD}", "holds a '#', a space, or a '/' in"),
        ("BROKER_URL", "", "expected amqp://user:password@host/vhost, amqps://… or memory://"),
        ("DATABASE_URL", f"mysql://ann:{PASSWORD}@db/x", "names 'mysql': expected postgresql://"),
        ("DATABASE_URL", f"ann:{PASSWORD}", "is no URL: expected postgresql://"),
        ("DATABASE_URL", "sqlite://", "names no file: expected sqlite:///file.db"),
        ("DATABASE_URL", "", "is no URL: expected postgresql://"),
        ("DATABASE_URL", f"postgresql://ann:{PASSWORD}@db:port/x", "has a port that is no number"),
        ("DATABASE_URL", f"postgresql://ann@db:{PASSWORD}", "has a port that is no number"),
    ],
)
def test_a_wrong_variable_is_named(
    environment: pytest.MonkeyPatch, variable: str, value: str, expected: str
):
    environment.setenv(f"ASYNCAPIPROXY_{variable}", value)
    told = fault()
    assert told.startswith(f"ASYNCAPIPROXY_{variable}: {expected}")
    assert "\n" not in told


@pytest.mark.parametrize("variable", ["DATABASE_URL", "BROKER_URL"])
def test_a_variable_that_is_not_set_is_named(environment: pytest.MonkeyPatch, variable: str):
    environment.delenv(f"ASYNCAPIPROXY_{variable}")
    assert fault() == f"ASYNCAPIPROXY_{variable} is not set"


def test_every_wrong_variable_is_named_at_once(environment: pytest.MonkeyPatch):
    environment.setenv("ASYNCAPIPROXY_DATABASE_URL", "oracle://")
    environment.setenv("ASYNCAPIPROXY_BROKER_URL", "kafka://")
    environment.setenv("ASYNCAPIPROXY_PORT", "99999")
    environment.setenv("ASYNCAPIPROXY_REPLY_STRATEGY", "pigeon")
    assert [line.split(":")[0] for line in fault(ProxySettings).splitlines()] == [
        "ASYNCAPIPROXY_DATABASE_URL",
        "ASYNCAPIPROXY_BROKER_URL",
        "ASYNCAPIPROXY_PORT",
        "ASYNCAPIPROXY_REPLY_STRATEGY",
    ]


@pytest.mark.parametrize("kind", [Settings, ProxySettings, ExecutorSettings])
def test_what_is_shown_of_settings_holds_no_password(kind: type[Settings]):
    for shown in (repr(kind.read()), str(kind.read())):
        assert not any(secret in shown for secret in (PASSWORD, NEW, OLD))


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ("", []),
        (" , ", []),
        (NEW, [NEW]),
        (f"{NEW},{OLD}", [NEW, OLD]),
        (f" {NEW} ,\n{OLD} ,", [NEW, OLD]),
    ],
)
def test_sealing_keys_are_split_the_newest_first(
    environment: pytest.MonkeyPatch, given: str, keys: list[str]
):
    environment.setenv("ASYNCAPIPROXY_SEALING_KEYS", given)
    assert Settings.read().keys == keys


@pytest.mark.parametrize("joined", [f"{NEW};{OLD}", f"{NEW} {OLD}", f"{NEW}{OLD}", NEW[:-1], "abc"])
def test_what_is_no_sealing_key_is_told_by_its_place(environment: pytest.MonkeyPatch, joined: str):
    environment.setenv("ASYNCAPIPROXY_SEALING_KEYS", f"{NEW},{joined}")
    assert fault().startswith("ASYNCAPIPROXY_SEALING_KEYS: key 2 is none; keys are separated by")


def test_the_form_of_a_text_is_told_in_words_and_by_an_example(environment: pytest.MonkeyPatch):
    environment.setenv("ASYNCAPIPROXY_PUBLIC_URL", "tasks.example.com/")
    told = fault(ProxySettings)
    assert told == (
        "ASYNCAPIPROXY_PUBLIC_URL: expected a scheme, host and path, or a path alone, without a "
        "slash at the end, such as https://tasks.example.com/api or /api"
    )


@pytest.mark.parametrize("kind", [ProxySettings, ExecutorSettings, OperatorSettings])
def test_each_text_of_a_form_has_words_for_it(kind: type[Settings]):
    for name, field in kind.model_fields.items():
        if any(getattr(one, "pattern", None) for one in field.metadata):
            assert "such as" in (field.description or ""), name


def test_what_is_wrong_for_any_of_several_services_is_told_at_once(
    environment: pytest.MonkeyPatch,
):
    environment.setenv("ASYNCAPIPROXY_PUBLISH_SECONDS", "soon")
    environment.setenv("ASYNCAPIPROXY_PORT", "many")
    environment.setenv("ASYNCAPIPROXY_CONCURRENCY", "0")
    with pytest.raises(SettingsError) as caught:
        check_settings({}, ProxySettings, ExecutorSettings)
    told = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    names = ("PUBLISH_SECONDS", "PORT", "CONCURRENCY")
    assert told == [f"ASYNCAPIPROXY_{name}" for name in names]


FLOATS = [
    (kind, name)
    for kind in (ProxySettings, ExecutorSettings, OperatorSettings)
    for name, field in kind.model_fields.items()
    if field.annotation is float
]


@pytest.mark.parametrize("value", ["inf", "nan", "1e300"])
@pytest.mark.parametrize(("kind", "name"), FLOATS)
def test_no_number_of_seconds_is_without_end(
    environment: pytest.MonkeyPatch, kind: type[Settings], name: str, value: str
):
    environment.setenv(f"ASYNCAPIPROXY_{name.upper()}", value)
    assert fault(kind).startswith(f"ASYNCAPIPROXY_{name.upper()}: expected ")


def test_what_is_given_on_the_command_line_beats_the_environment(environment: pytest.MonkeyPatch):
    environment.setenv("ASYNCAPIPROXY_PORT", "1111")
    environment.setenv("ASYNCAPIPROXY_HOST", "10.0.0.1")
    settings = ProxySettings.read({"port": 2222, "host": None})
    assert (settings.port, settings.host) == (2222, "10.0.0.1")


def test_a_wrong_value_of_the_command_line_is_named_as_its_variable():
    assert fault(ProxySettings, {"port": -1}).startswith("ASYNCAPIPROXY_PORT: expected")


def test_an_empty_address_is_refused():
    assert fault(ProxySettings, {"host": ""}).startswith("ASYNCAPIPROXY_HOST: ")


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings.read().log_level = "debug"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_misspelt_variable_is_found(environment: pytest.MonkeyPatch):
    environment.setenv("ASYNCAPIPROXY_CONCURENCY", "5")
    environment.setenv("ASYNCAPIPROXY_CONCURRENCY", "5")
    environment.setenv("ASYNCAPIPROXY_PORT", "5")
    environment.setenv("CONCURENCY", "5")
    assert unknown_variables(ProxySettings, ExecutorSettings) == ["ASYNCAPIPROXY_CONCURENCY"]
    assert unknown_variables(ExecutorSettings) == ["ASYNCAPIPROXY_CONCURENCY", "ASYNCAPIPROXY_PORT"]
