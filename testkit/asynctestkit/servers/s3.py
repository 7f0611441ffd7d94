"""A private S3 server, moto's, in a thread of the test's own process."""

from typing import Self

import httpx
from moto.server import ThreadedMotoServer

from asynctestkit.eventually import PATIENCE_SECONDS

REGION = "us-east-1"


class S3Server:
    """Started by entering it; it knows no users and keeps all in memory."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.url = ""

    def __enter__(self) -> Self:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What a service has to be told, but for its ASYNCAPIPROXY_BLOBS."""
        return {
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def make_bucket(self, name: str) -> None:
        httpx.put(f"{self.url}/{name}", timeout=PATIENCE_SECONDS).raise_for_status()
