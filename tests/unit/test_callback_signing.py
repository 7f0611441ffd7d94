"""Callbacks are signed by each key, and what is no key is told by its place and never shown."""

import base64
import datetime as dt
import hashlib
import hmac
from typing import Any

import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from asynctasks.callbacks.signing import SigningKeys

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
BODY = b'{"id": "d-1"}'
AT = dt.datetime(2026, 11, 28, 19, 30, 5, 999_999, dt.UTC)


def encoded(key: bytes, prefix: str) -> str:
    return prefix + base64.b64encode(key).decode()


NEW_SECRET, OLD_SECRET = b"n" * 32, b"o" * 24
NEW, OLD = encoded(NEW_SECRET, "whsec_"), encoded(OLD_SECRET, "whsec_")
NEW_PRIVATE, OLD_PRIVATE = encoded(SEED, "whsk_"), encoded(b"\x07" * 32, "whsk_")


def signatures(keys: SigningKeys) -> list[tuple[str, bytes]]:
    headers = keys.headers("d-1", at=AT, body=BODY)
    assert list(headers) == ["webhook-id", "webhook-timestamp", "webhook-signature"]
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("d-1", "1795894205")
    pairs = [each.split(",") for each in headers["webhook-signature"].split(" ")]
    return [(kind, base64.b64decode(signature)) for kind, signature in pairs]


def test_the_example_of_the_standard_webhooks_libraries_is_signed_as_they_sign_it():
    keys = SigningKeys.of(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    at = dt.datetime.fromtimestamp(1_614_265_330, dt.UTC)
    found = keys.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, body=b'{"test": 2432232314}')
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_key_signs_the_newest_of_its_kind_first():
    keys = SigningKeys.of([NEW_PRIVATE, NEW, OLD, OLD_PRIVATE])
    content = b"d-1.1795894205." + BODY
    found = signatures(keys)
    assert [kind for kind, _ in found] == ["v1", "v1", "v1a", "v1a"]
    for secret, (_, signature) in zip((NEW_SECRET, OLD_SECRET), found[:2], strict=True):
        assert signature == hmac.new(secret, content, hashlib.sha256).digest()
    for seed, (_, signature) in zip((SEED, b"\x07" * 32), found[2:], strict=True):
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
        public.verify(signature, content)
        with pytest.raises(InvalidSignature):
            public.verify(signature, content + b" ")


def test_a_private_key_may_have_the_public_one_behind_it():
    whole = SigningKeys.of([encoded(SEED + PUBLIC, "whsk_")])
    assert whole.public_keys == SigningKeys.of([NEW_PRIVATE]).public_keys


def test_public_keys_are_written_as_receivers_take_them():
    assert SigningKeys.of([NEW_PRIVATE, NEW]).public_keys == (encoded(PUBLIC, "whpk_"),)


def test_the_key_set_is_that_of_rfc_8037_and_holds_no_secret():
    # The key, and its thumbprint, of RFC 8037, appendix A.
    assert SigningKeys.of([NEW_PRIVATE, NEW]).public_jwks() == {
        "keys": [
            {
                "crv": "Ed25519",
                "kty": "OKP",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
                "use": "sig",
                "alg": "EdDSA",
            }
        ]
    }


def test_another_library_reads_the_key_set_and_verifies_by_it():
    keys = SigningKeys.of([NEW_PRIVATE, OLD_PRIVATE])
    found: list[Any] = jwt.PyJWKSet.from_dict(keys.public_jwks()).keys
    for jwk, (_, signature) in zip(found, signatures(keys), strict=True):
        assert isinstance(jwk.key, Ed25519PublicKey)
        jwk.key.verify(signature, b"d-1.1795894205." + BODY)


def test_without_a_private_key_the_key_set_is_empty():
    assert SigningKeys.of([NEW]).public_jwks() == {"keys": []}
    assert SigningKeys.of([NEW])
    assert not SigningKeys()


WRONG = [
    "",
    "hunter2",
    NEW.removeprefix("whsec_"),
    encoded(b"x" * 23, "whsec_"),
    encoded(b"x" * 65, "whsec_"),
    encoded(b"x" * 31, "whsk_"),
    encoded(SEED + b"x" * 32, "whsk_"),
    encoded(PUBLIC, "whpk_"),
    f"{NEW}!",
    f"{NEW} {OLD}",
    NEW[:-1],
    "whsec_ä",
    NEW.upper(),
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_key_is_told_by_its_place_and_not_shown(text: str):
    with pytest.raises(ValueError, match=r"^key 2 is none: expected whsk_ \(Ed25519\)") as caught:
        SigningKeys.of([NEW_PRIVATE, text])
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert not text or text not in shown
    assert NEW_PRIVATE not in shown


@pytest.mark.parametrize("kind", ["whsec_", "whsk_"])
def test_more_keys_than_a_rotation_needs_are_refused(kind: str):
    texts = [encoded(bytes([number]) * 32, kind) for number in range(3)]
    assert len(signatures(SigningKeys.of(texts[:2]))) == 2
    with pytest.raises(ValueError, match="expected 2 of each kind at most, the newest first"):
        SigningKeys.of(texts)


def test_what_is_shown_of_keys_holds_none():
    shown = repr(SigningKeys.of([NEW, NEW_PRIVATE]))
    assert shown == "SigningKeys()"
