"""Follows the access file, and issuers' keys: who calls is told by them as they stand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from asyncproxy.access.access import Access
from asyncproxy.access.access_file import load_access_file
from asyncproxy.access.authenticator import Authenticator
from asyncproxy.access.issuer_keys import IssuerKeys, refresh_due
from asyncproxy.access.metrics import FILE_METRICS
from asynctasks.declarations.file_watch import LOOK_SECONDS, FileWatch
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from pathlib import Path

    from asyncproxy.access.access_file import AccessFile
    from asyncproxy.access.authentication import Authentication, Issuer
    from asyncproxy.access.trusted_headers import HeaderReader
    from asynctasks.declarations.declared_file import Read

    _Declared = tuple[Issuer, str | None]
    """An issuer and the certificates that it is known by."""

KEYS_LOOK_SECONDS = 1.0

log = structlog.get_logger(__name__)


class AccessWatch:
    """The access file that is in force, and who tells callers apart by it."""

    def __init__(self, file: Path) -> None:
        """Load the file; raises AccessFileError."""
        self._folder = file.parent
        self._issuers: dict[_Declared, IssuerKeys] = {}
        watch = FileWatch(
            "access file", partial(_load, file), self._take_over, metrics=FILE_METRICS
        )
        self.loops = (
            Loop("access file", watch.look, interval_seconds=LOOK_SECONDS),
            Loop("issuers' keys", self.fetch_keys, interval_seconds=KEYS_LOOK_SECONDS),
        )
        self._put(watch.first, self._keys_of(watch.first))
        self.access = Access(self._authenticator, self.file.rules, self.file.quotas)
        """What routes ask, by the file as it stands."""

    def ways(self) -> Authentication:
        """The ways in which callers may prove who they are now."""
        return self.file.authentication

    def header_reader(self) -> HeaderReader | None:
        """Who reads now what a proxy in front says of callers."""
        return self._authenticator.headers

    async def fetch_keys(self) -> None:
        """Fetch the keys of all issuers whose turn it is; one that is away is waited for later."""
        await refresh_due(self._issuers.values())

    async def _take_over(self, file: AccessFile) -> None:
        issuers = self._keys_of(file)
        # Or the first tokens of an issuer that is new would be refused.
        await refresh_due(keys for key, keys in issuers.items() if key not in self._issuers)
        self._put(file, issuers)
        self.access.replace(self._authenticator, file.rules, file.quotas)
        log.info("access file taken over", **told_of(file))

    def _put(self, file: AccessFile, issuers: dict[_Declared, IssuerKeys]) -> None:
        self._issuers = issuers
        self.file = file
        by_name = {keys.issuer.issuer: keys for keys in issuers.values()}
        self._authenticator = Authenticator(file, by_name)

    def _keys_of(self, file: AccessFile) -> dict[_Declared, IssuerKeys]:
        """The keys of each issuer, those that we have where it is declared as it was."""
        found: dict[_Declared, IssuerKeys] = {}
        for issuer in file.authentication.jwt:
            certificates = None if issuer.ca_file is None else file.certificates[issuer.ca_file]
            token_file = None if issuer.token_file is None else self._folder / issuer.token_file
            key = (issuer, certificates)
            found[key] = self._issuers.get(key) or IssuerKeys(
                issuer, certificates=certificates, token_file=token_file
            )
        return found


def told_of(file: AccessFile) -> dict[str, object]:
    """What a line of the log says of the file, which is nothing secret."""
    ways = file.authentication
    return {
        "issuers": [issuer.issuer for issuer in ways.jwt],
        "api_keys": len(file.api_keys),
        "headers": ways.headers is not None,
        "anonymous": ways.anonymous,
        "rules": len(file.rules.rules),
    }


def _load(file: Path, read: Read) -> AccessFile:
    return load_access_file(file, read=read)
