"""Which release's proxy is meant, where no URL says where one is."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from urllib.parse import parse_qsl, urlencode

SCHEME = "kubectl:"
"""Of a URL that names a release, and no address."""


@dataclass(frozen=True, slots=True)
class InCluster:
    """A release. What is empty is as kubectl has it, or the only release there is."""

    context: str = ""
    namespace: str = ""
    release: str = ""

    @classmethod
    def of_url(cls, url: str) -> InCluster:
        """The release that the `url` of another names."""
        return cls(**dict(parse_qsl(url.removeprefix(SCHEME))))

    @property
    def url(self) -> str:
        """All of it in one text, for where a URL is handed on."""
        return SCHEME + urlencode(asdict(self))

    @property
    def kubectl_options(self) -> list[str]:
        """Where kubectl is to look."""
        return _options({"context": self.context, "namespace": self.namespace})

    @property
    def command(self) -> str:
        """How a person calls our command for this release."""
        return shlex.join(["kubectl", "asyncapiproxy", *_options(asdict(self))])


def _options(named: dict[str, str]) -> list[str]:
    return [word for name, value in named.items() if value for word in (f"--{name}", value)]
