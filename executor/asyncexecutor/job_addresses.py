"""Where an upstream's job and its result are, and whether that may be called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
from yarl import URL

from asyncexecutor.failures import UpstreamJobAddressError
from asynctasks.errors import OperationsFileError
from asynctasks.json_values import as_object, found_at, read_json
from asynctasks.operations.upstream_poll import ENVIRONMENT_NAME
from asynctasks.operations.url_template import UrlTemplate, UrlTemplateError, UrlValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncexecutor.runner import Answer, Attempt
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_poll import UpstreamPoll

_WRITTEN = re.compile(r"[\x21-\x7e]+")
MAX_URL = 4_000
"""Of a longer one not every server takes a call; a row keeps it, and callers see it."""


class JobAddresses:
    """Reads addresses out of one upstream's answers.

    What an upstream answers must not lead us elsewhere: an address is of the origin that was
    called, or of one that the operations file allows.
    """

    def __init__(
        self, operation: Operation, poll: UpstreamPoll, environment: Mapping[str, str]
    ) -> None:
        """Raise OperationsFileError with what the environment lacks or spoils."""
        values = {name: text.strip() for name, text in environment.items()}
        place = operation.place("upstream", "poll")
        if missing := sorted(poll.environment_names - values.keys()):
            raise OperationsFileError(
                "\n".join(
                    f"{place}: {name} is not set in the environment of this executor"
                    for name in missing
                )
            )
        self._poll = poll
        self._allowed = {
            _origin(values[one[1:-1]] if one.startswith("{") else one, place)
            for one in poll.allow_origins
        }
        self._template = None
        if poll.url.template is not None:
            template = UrlTemplate(poll.url.template)
            members = frozenset(
                name for name in template.names if not ENVIRONMENT_NAME.fullmatch(name)
            )
            try:
                self._template = template.bind(members, values)
            except UrlTemplateError as error:
                raise OperationsFileError(f"{place}.url.template: {error}") from error

    def of_job(self, answer: Answer, attempt: Attempt, *, called: URL) -> URL:
        """Where the job is asked for that the answer has started."""
        where = self._poll.url
        if where.header is not None:
            given = next(filter(None, map(answer.headers.get, where.header)), None)
            return self.checked(given, called, ", ".join(where.header))
        document = document_of(answer)
        if where.pointer is not None:
            return self.checked(found_at(where.pointer, document), called, where.pointer)
        assert self._template is not None
        try:
            url = self._template.expand({**attempt.arguments, **(as_object(document) or {})})
        except UrlValueError as error:
            raise UpstreamJobAddressError(f"The upstream's answer names no job: {error}") from None
        return self.checked(str(url), called, "the template")

    def checked(self, given: Any, called: URL, named: str) -> URL:
        """The address, told relative to what was called; raises UpstreamJobAddressError."""
        if not isinstance(given, str) or not given:
            raise UpstreamJobAddressError(f"The upstream's answer has no address in {named}.")
        try:
            # As it was written: a signed one is another where its escapes are.
            url = called.join(URL(given, encoded=_WRITTEN.fullmatch(given) is not None))
            is_callable = url.scheme in {"http", "https"} and bool(url.host)
        except ValueError:
            is_callable = False
            url = called
        if not is_callable or len(str(url)) > MAX_URL:
            raise UpstreamJobAddressError(f"What stands in {named} is no address that can be used.")
        if url.origin() != called.origin() and str(url.origin()) not in self._allowed:
            raise UpstreamJobAddressError(
                f"The address in {named} is of another origin, {url.origin()}, which "
                "`allowOrigins` does not name."
            )
        return url.with_user(None)


def document_of(answer: Answer) -> Any:
    """The JSON of an answer; None where it is none."""
    try:
        return read_json(answer.response.body)
    except orjson.JSONDecodeError:
        return None


def _origin(text: str, place: str) -> str:
    try:
        return str(URL(text).origin())
    except ValueError as error:
        raise OperationsFileError(
            f"{place}.allowOrigins: expected http://host or https://host"
        ) from error
