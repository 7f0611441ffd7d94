"""Who has not installed the operator's libraries is told how to."""

import subprocess
import sys
from pathlib import Path

WITHOUT_KOPF = """
import sys
sys.modules["kopf"] = None
from asyncapiproxy.main import app
app(["operator"])
"""


def test_the_operator_names_its_extra(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_KOPF],
        env={
            "ASYNCAPIPROXY_DATABASE_URL": "sqlite:///none.db",
            "ASYNCAPIPROXY_BROKER_URL": "amqp://none.invalid",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'asyncapiproxy[operator]'" in done.stderr
