"""Who has not installed the operator's libraries is told how to."""

import sys

import pytest

from asyncapiproxy.main import app


def test_the_operator_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "kopf", None)
    for module in [name for name in sys.modules if name.startswith("asyncoperator.")]:
        if module != "asyncoperator.settings":
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setenv("ASYNCAPI_DATABASE_URL", "sqlite:///none.db")
    monkeypatch.setenv("ASYNCAPI_BROKER_URL", "amqp://none.invalid")
    with pytest.raises(SystemExit) as ended:
        app(["operator"])
    assert ended.value.code == 2
    assert "pip install 'asyncapiproxy[operator]'" in capsys.readouterr().err
