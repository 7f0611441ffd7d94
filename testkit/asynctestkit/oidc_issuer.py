"""An issuer of tokens on loopback, with keys of its own: discovery, key set, rotation, outages."""

import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from asynctestkit.inside import serving_app

AUDIENCE = "asyncapiproxy"
_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def private_key(algorithm: str) -> Any:
    """A new key that signs by the algorithm."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(key: Any, **members: Any) -> dict[str, Any]:
    """The public half of the key, as a key set has it."""
    public = key.public_key()
    kinds: dict[type, Any] = {
        rsa.RSAPrivateKey: RSAAlgorithm,
        ec.EllipticCurvePrivateKey: ECAlgorithm,
    }
    algorithm = next((kinds[kind] for kind in kinds if isinstance(key, kind)), OKPAlgorithm)
    return {**algorithm.to_jwk(public, as_dict=True), "use": "sig", **members}


@dataclass
class OidcIssuer:
    """Signs what it is told, right or wrong."""

    url: str = ""
    jwks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The key set as it is published."""
    keys: dict[str, tuple[str, Any]] = field(default_factory=dict[str, tuple[str, Any]])
    """The algorithm and the private key, by the key's id. The last one signs."""
    discovery: dict[str, Any] = field(default_factory=dict[str, Any])
    """Members of the discovery document in place of the right ones."""
    is_away: bool = False
    token: str | None = None
    """What whoever asks has to show."""
    asked: list[str] = field(default_factory=list[str])

    def rotate(self, algorithm: str = "RS256", *, keep: bool = False, kid: str = "") -> str:
        """Sign by a new key from now on, and publish it, beside those before only if told so."""
        kid = kid or uuid4().hex[:8]
        key = private_key(algorithm)
        self.keys[kid] = (algorithm, key)
        self.jwks = [*(self.jwks if keep else []), public_jwk(key, kid=kid, alg=algorithm)]
        return kid

    def sign(
        self,
        *,
        kid: str | None = None,
        algorithm: str = "",
        key: Any = None,
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token that is good but for what is said otherwise; a claim of None is left out."""
        kid = kid or next(reversed(self.keys))
        of_key = self.keys.get(kid, ("RS256", None))
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "iat": now,
            "exp": now + 300,
        }
        said |= claims
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            key if key is not None else of_key[1],
            algorithm=algorithm or of_key[0],
            headers={
                name: value
                for name, value in {"kid": kid, **(headers or {})}.items()
                if value is not None
            },
        )

    async def answer(self, request: web.Request) -> web.Response:
        """Answer for either document."""
        self.asked.append(request.path)
        if self.is_away:
            return web.Response(status=503)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=403)
        if request.path == "/keys":
            return web.json_response({"keys": self.jwks})
        if request.path == "/.well-known/openid-configuration":
            known = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
            return web.json_response(known | self.discovery)
        return web.Response(status=404)


@asynccontextmanager
async def oidc_issuer(
    algorithm: str = "RS256", *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[OidcIssuer]:
    """An issuer with one key."""
    issuer = OidcIssuer()
    issuer.rotate(algorithm)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.answer)
    async with serving_app(app, tls=tls) as issuer.url:
        yield issuer
