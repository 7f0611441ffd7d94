"""A receiver takes what the proxy has signed, and nothing else, whichever library is whose."""

import base64
import datetime as dt
import doctest
import sys
import time
from email.message import Message
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

import asyncapiproxy
from asyncapiproxy import (
    CallbackEvent,
    CallbackInvalidError,
    CallbackKeyUnusableError,
    CallbackResponse,
    ClientError,
    verify_callback,
)
from asynctasks.callbacks.event import TaskEnd, event_body
from asynctasks.callbacks.signing import SigningKeys
from asynctasks.response import Response
from asynctasks.task import TaskStatus

TASK = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
NOW = dt.datetime.now(dt.UTC)


def text(prefix: str, key: bytes) -> str:
    return prefix + base64.b64encode(key).decode()


NEW, OLD, OTHER = (text("whsec_", letter * 32) for letter in (b"n", b"o", b"x"))
PRIVATE_NEW, PRIVATE_OLD = (text("whsk_", letter * 32) for letter in (b"n", b"o"))
KEYS = SigningKeys.of([NEW, OLD, PRIVATE_NEW, PRIVATE_OLD])
PUBLIC_NEW, PUBLIC_OLD = KEYS.public_keys
JWKS = KEYS.public_jwks()
OTHER_PUBLIC = SigningKeys.of([text("whsk_", b"x" * 32)])


def body_of(response: Response | None = None, *, includes_response: bool = False) -> bytes:
    end = TaskEnd(
        TASK,
        "create-client",
        TaskStatus.FAILED,
        {"team": "ä"},
        attempt=2,
        created_at=NOW - dt.timedelta(seconds=5),
        finished_at=NOW,
        links={"self": f"/tasks/{TASK}"},
        response=response,
    )
    return event_body(end, delivery_id="d-1", source="/", includes_response=includes_response)


BODY = body_of()
SIGNED = KEYS.headers("d-1", at=NOW, body=BODY)


@pytest.mark.parametrize(
    "keys",
    [
        *(NEW, OLD, PUBLIC_NEW, PUBLIC_OLD, JWKS, [OTHER, OLD], (OTHER_PUBLIC.public_jwks(), NEW)),
        {"keys": [{"kty": "RSA"}, {"kty": "OKP", "crv": "X25519"}, 5, *JWKS["keys"]]},
    ],
)
def test_what_is_signed_by_any_of_the_keys_is_taken(keys: Any):
    found = verify_callback(SIGNED, BODY, keys)
    assert (found.id, found.type) == ("d-1", "dev.asyncapiproxy.task.failed")
    assert (found.source, found.time, found.response) == ("/", NOW, None)
    assert (found.task.id, found.task.status, found.task.is_done) == (str(TASK), "failed", True)
    assert (found.task.operation, found.task.attempt) == ("create-client", 2)
    assert (found.task.labels, found.links) == ({"team": "ä"}, {"self": f"/tasks/{TASK}"})
    assert found.task.created_at == NOW - dt.timedelta(seconds=5)


def test_a_response_comes_with_it():
    response = Response(409, "application/json", b'{"a": 1}')
    body = body_of(response, includes_response=True)
    found = verify_callback(KEYS.headers("d-1", at=NOW, body=body), body, NEW)
    assert found.response == CallbackResponse(409, "application/json", {"a": 1}, None)


def test_a_response_that_is_too_large_is_told_to_be_left_out():
    response = Response(200, "text/plain", b"x" * 30_000)
    body = body_of(response, includes_response=True)
    found = verify_callback(KEYS.headers("d-1", at=NOW, body=body), body, NEW)
    assert found.response == CallbackResponse(200, "text/plain", None, "too-large")


def message() -> Message:
    made = Message()
    for name, value in SIGNED.items():
        made[name.title()] = value
    return made


@pytest.mark.parametrize(
    "headers",
    [
        {name.upper(): value for name, value in SIGNED.items()},
        [("Accept", "a"), ("Accept", "b"), *SIGNED.items()],
        httpx.Headers(SIGNED),
        message(),
    ],
    ids=lambda headers: type(headers).__name__,
)
def test_headers_may_be_those_of_any_framework(headers: Any):
    assert verify_callback(headers, BODY.decode(), NEW).id == "d-1"


REFUSED: dict[str, tuple[Any, Any, Any, str]] = {
    "another body": (SIGNED, BODY + b" ", NEW, "No key has signed this id, time and body"),
    "another body, by Ed25519": (SIGNED, BODY + b" ", PUBLIC_NEW, "No key has signed this id"),
    "another id": ({**SIGNED, "webhook-id": "d-2"}, BODY, NEW, "No key has signed this id"),
    "another time": (
        {**SIGNED, "webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        BODY,
        NEW,
        "No key has signed this id",
    ),
    "another secret": (SIGNED, BODY, OTHER, "No key has signed this id"),
    "another public key": (SIGNED, BODY, OTHER_PUBLIC.public_keys, "No key has signed this id"),
    "a body that was read": (SIGNED, orjson.loads(BODY), NEW, "Expected the body as it came"),
    "a body that is no text": (SIGNED, "\udcff", NEW, "No key has signed"),
    "only signatures by another kind": (
        SigningKeys.of([NEW]).headers("d-1", at=NOW, body=BODY),
        BODY,
        [PUBLIC_NEW],
        "webhook-signature: expected a signature of the keys' kind: v1a",
    ),
    "no signature of a kind we know": (
        {**SIGNED, "webhook-signature": "v2,aaaa v1,! , v1a,=== aaaa"},
        BODY,
        [NEW, PUBLIC_NEW],
        "expected a signature of the keys' kind: v1 or v1a",
    ),
    "a signature that was cut": (
        {**SIGNED, "webhook-signature": "v1,aaaa v1a,aaaa v1,"},
        BODY,
        [NEW, PUBLIC_NEW],
        "No key has signed",
    ),
    "a header twice": (
        [*SIGNED.items(), ("Webhook-Id", "d-1")],
        BODY,
        NEW,
        "webhook-id: expected it once",
    ),
    "an id beyond ASCII": ({**SIGNED, "webhook-id": "\udcff"}, BODY, NEW, "webhook-id: expected"),
    **{
        f"no {name}": (
            {given: value for given, value in SIGNED.items() if given != name},
            BODY,
            NEW,
            f"{name}: expected such a header",
        )
        for name in SIGNED
    },
    **{
        f"a time such as {value!r}": (
            {**SIGNED, "webhook-timestamp": value},
            BODY,
            NEW,
            "webhook-timestamp: expected",
        )
        for value in ("", "soon", "-5", "1e9", "1.5", "٣", " 5", "9" * 13, "5\n")
    },
}


@pytest.mark.parametrize(("headers", "body", "keys", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_as_it_was_signed_is_refused(headers: Any, body: Any, keys: Any, told: str):
    with pytest.raises(CallbackInvalidError, match=told) as caught:
        verify_callback(headers, body, keys)
    assert isinstance(caught.value, ClientError)
    assert NEW not in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-310, "It was signed 3[01][0-9] s ago: expected 300 s at most"), (310, "s ahead of this")],
)
def test_what_was_signed_too_long_ago_or_ahead_is_refused(seconds: float, told: str):
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    headers = KEYS.headers("d-1", at=at, body=BODY)
    with pytest.raises(CallbackInvalidError, match=told):
        verify_callback(headers, BODY, NEW)
    assert verify_callback(headers, BODY, NEW, tolerance=dt.timedelta(minutes=10)).id == "d-1"


@pytest.mark.parametrize("seconds", [-299, 299])
def test_clocks_may_differ_by_less(monkeypatch: pytest.MonkeyPatch, seconds: float):
    monkeypatch.setattr(time, "time", lambda: int(NOW.timestamp()) - seconds)
    assert verify_callback(SIGNED, BODY, NEW).id == "d-1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"5",
        b"{",
        b"{}",
        orjson.dumps({**orjson.loads(BODY), "specversion": "2.0"}),
        orjson.dumps({**orjson.loads(BODY), "type": "com.example.paid"}),
        orjson.dumps({**orjson.loads(BODY), "data": {"id": "a"}}),
        orjson.dumps({**orjson.loads(BODY), "data": None}),
        orjson.dumps({**orjson.loads(BODY), "time": "soon"}),
    ],
)
def test_what_is_signed_and_no_event_of_ours_is_refused(body: bytes):
    with pytest.raises(CallbackInvalidError, match="It is signed, but tells of no task's end"):
        verify_callback(KEYS.headers("d-1", at=NOW, body=body), body, NEW)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("", "Key 1 is none: expected whsec_… or whpk_…, in base64, or a JWK Set"),
        ("hunter2", "Key 1 is none"),
        ([NEW, "whsec_aGk="], "Key 2 is none"),
        (PRIVATE_NEW, "Key 1 is none"),
        (text("whpk_", b"x" * 31), "Key 1 is none"),
        ([], "There is no key: expected one at least"),
        ({}, "expected a JWK Set with Ed25519 keys"),
        ({"keys": []}, "expected a JWK Set with Ed25519 keys"),
        ({"keys": 5}, "expected a JWK Set with Ed25519 keys"),
        ({"keys": [{**JWKS["keys"][0], "use": "enc"}]}, "expected a JWK Set with Ed25519 keys"),
        ({"keys": [{**JWKS["keys"][0], "x": "aGk"}]}, "expected a JWK Set with Ed25519 keys"),
        ({"keys": [{**JWKS["keys"][0], "x": 5}]}, "expected a JWK Set with Ed25519 keys"),
    ],
)
def test_what_is_no_key_is_told_by_its_place_and_not_shown(keys: Any, told: str):
    with pytest.raises(CallbackKeyUnusableError, match=told) as caught:
        verify_callback(SIGNED, BODY, keys)
    assert "hunter2" not in str(caught.value)


def test_without_cryptography_a_secret_does_and_a_public_key_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    assert verify_callback(SIGNED, BODY, NEW).id == "d-1"
    with pytest.raises(CallbackKeyUnusableError, match=r"pip install 'asyncapiproxy\[callbacks\]'"):
        verify_callback(SIGNED, BODY, PUBLIC_NEW)


@given(
    st.dictionaries(st.sampled_from([*SIGNED, "x"]), st.text(max_size=20)),
    st.binary(max_size=20) | st.just(BODY),
)
def test_whatever_comes_is_refused_in_one_way(headers: dict[str, str], body: bytes):
    with pytest.raises(CallbackInvalidError):
        verify_callback({**SIGNED, "webhook-signature": "v1,aaaa", **headers}, body, [NEW, JWKS])


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_standardwebhooks_takes_what_we_sign(secret: str):
    assert Webhook(secret).verify(BODY, SIGNED) == orjson.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, SIGNED)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" ", SIGNED)


def test_we_take_what_standardwebhooks_signs():
    signature = Webhook(NEW).sign("d-1", NOW, BODY.decode())
    headers = {**SIGNED, "webhook-signature": signature}
    assert verify_callback(headers, BODY, [OLD, NEW]).id == "d-1"
    with pytest.raises(CallbackInvalidError, match="No key has signed"):
        verify_callback(headers, BODY, OLD)


def test_it_is_what_the_library_exports():
    assert asyncapiproxy.verify_callback is verify_callback
    assert asyncapiproxy.CallbackEvent is CallbackEvent


def test_the_document_says_what_happens():
    text = (Path(__file__).parents[2] / "docs/callbacks.md").read_text()
    told: list[str] = []
    examples = doctest.DocTestParser().get_doctest(text, {}, "callbacks.md", "callbacks.md", 0)
    assert len(examples.examples) > 8
    doctest.DocTestRunner(verbose=False).run(examples, out=told.append)
    assert "".join(told) == ""
