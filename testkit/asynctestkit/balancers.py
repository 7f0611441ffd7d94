"""Proxies of other makes in front of ours, private ones, set up as docs/behind-a-proxy.md says."""

import re
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from asynctestkit.front_server import ApacheServer, FrontServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "behind-a-proxy.md"


class Balancer(FrontServer):
    """One that listens on a port of its own before one or two of our proxies."""

    heading: ClassVar[str]
    """The section of the document whose first block is its configuration."""

    def __init__(self, *proxies: str) -> None:
        """Send calls to the proxies at these URLs."""
        super().__init__()
        text = documented_configuration(self.heading)
        self._configure(self._complete(self._addressed(text, proxies)))

    @abstractmethod
    def _complete(self, configuration: str) -> str:
        """The document's part with what keeps this one to itself."""

    def _addressed(self, text: str, proxies: tuple[str, ...]) -> str:
        for number, url in enumerate(proxies, start=1):
            text = text.replace(f"proxy-{number}:8080", urlsplit(url).netloc)
        assert ":8080" not in text, "the document names more proxies than there are"
        return re.sub(
            r"(listen |bind |VirtualHost )\S*\b80\b", rf"\g<1>127.0.0.1:{self.port}", text
        )


class Nginx(Balancer):
    """It buffers, and sends a GET whose proxy died to another."""

    heading = "nginx"
    program = "nginx"
    package = "nginx-light"

    def _complete(self, configuration: str) -> str:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "\n".join(f"{kind}_temp_path {kind};" for kind in kinds)
        return f"""
            daemon off; pid nginx.pid; error_log stderr; events {{}}
            http {{ access_log off; {folders} {configuration} }}
        """

    def _arguments(self) -> list[str]:
        return ["-p", str(self._folder), "-e", "stderr", "-c", str(self._configuration)]


class Haproxy(Balancer):
    """It can send calls again by itself."""

    heading = "HAProxy"
    program = "haproxy"
    package = "haproxy"

    def _complete(self, configuration: str) -> str:
        return configuration

    def _arguments(self) -> list[str]:
        return ["-db", "-f", str(self._configuration)]


class Apache(ApacheServer, Balancer):
    """It compresses what it passes, and changes its ETag."""

    heading = "Apache httpd"
    modules = ("mpm_event", "authz_core", "setenvif", "filter", "deflate", "proxy", "proxy_http")

    def _complete(self, configuration: str) -> str:
        return self._head() + configuration


class Varnish(Balancer):
    """It has equal GETs wait for each other."""

    heading = "Varnish"
    program = "varnishd"
    package = "varnish"

    def _complete(self, configuration: str) -> str:
        return configuration

    def _arguments(self) -> list[str]:
        return [
            *("-F", "-n", str(self._folder / "varnish"), "-f", str(self._configuration)),
            *("-a", f"127.0.0.1:{self.port}", "-s", "default,20m"),
        ]


BALANCERS: tuple[type[Balancer], ...] = (Nginx, Haproxy, Apache, Varnish)


def documented_configuration(heading: str) -> str:
    """The first block of this section of the document."""
    section = re.search(
        rf"^## {heading}$(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE
    )
    block = section and re.search(r"^```\w+\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)
    assert block, f"{DOCUMENT.name} has no configuration below `## {heading}`"
    return block[1]
