"""Receivers of callbacks by the libraries of others, and callbacks that these have signed."""

import base64
import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from asyncapiproxy import verify_callback
from asynctasks.callbacks.event import TaskEnd, event_body
from asynctasks.callbacks.signing import SigningKeys
from asynctasks.task import TaskStatus, new_task_id
from asynctestkit.servers.private import find_program

pytestmark = pytest.mark.timeout(900)
"""What they need is installed first."""

HERE = Path(__file__).parent


def key(prefix: str, letter: bytes) -> str:
    return prefix + base64.b64encode(letter * 32).decode()


def test_a_receiver_on_node_takes_what_we_sign_and_signs_what_we_take(tmp_path: Path):
    folder = tmp_path / "receivers"
    shutil.copytree(HERE / "receivers", folder)
    run(folder, "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit")
    secrets = [key("whsec_", letter) for letter in (b"n", b"o", b"x")]
    private = [key("whsk_", letter) for letter in (b"n", b"o")]
    keys = SigningKeys.of([*private, *secrets[:2]])
    jwks = keys.public_jwks()
    jwks["keys"] += SigningKeys.of([key("whsk_", b"x")]).public_jwks()["keys"]
    now = dt.datetime.now(dt.UTC)
    delivery_id = str(uuid4())
    body = event_of(now, delivery_id)
    headers = keys.headers(delivery_id, at=now, body=body)
    told = {"headers": headers, "body": body.decode(), "secrets": secrets, "jwks": jwks}

    said = json.loads(run(folder, "node", "verify.mjs", given=json.dumps(told)))

    refused = "No matching signature found"
    assert said.pop("taken") == [delivery_id, delivery_id, refused]
    assert said.pop("changed") == [refused] * 3
    assert said.pop("isSigned") == [True, True, False]
    assert said.pop("isChangedSigned") == [False] * 3
    headers["webhook-signature"] = said.pop("signature")
    assert verify_callback(headers, body, secrets[0]).id == delivery_id
    assert said == {}


def event_of(now: dt.datetime, delivery_id: str) -> bytes:
    end = TaskEnd(
        new_task_id(),
        "create-client",
        TaskStatus.SUCCEEDED,
        # What takes more than one byte is where libraries differ.
        {"team": "ä€😀"},
        attempt=1,
        created_at=now,
        finished_at=now,
        links={},
    )
    return event_body(end, delivery_id=delivery_id, source="/")


def run(folder: Path, program: str, *arguments: str, given: str = "") -> str:
    """What it said; the test fails where it ends with a fault, or does not end."""
    package = {"node": "nodejs", "npm": "npm"}[program]
    command: list[Any] = [find_program(program, package=package), *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        input=given,
        timeout=800,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
