"""Names of operations, and of the executor's environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST_NAME = 63
_WORD = re.compile(r"OAuth\d*|[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")


def operation_name(told: str, *, taken: Collection[str]) -> str:
    """An operation's name made of the document's: `createInvoice` is `create-invoice`.

    One that is taken, or is left without a word, gets a number.
    """
    words = [word.lower() for word in _WORD.findall(told)]
    name = "-".join(words)
    if not name[:1].isalpha():
        name = f"call-{name}".rstrip("-")
    name = name[:LONGEST_NAME].rstrip("-")
    number = 1
    unique = name
    while unique in taken:
        number += 1
        ending = f"-{number}"
        unique = name[: LONGEST_NAME - len(ending)].rstrip("-") + ending
    return unique


def variable_name(*told: str) -> str:
    """The name of a variable of the environment: `apiKey` is `API_KEY`."""
    words = [word.upper() for text in told for word in _WORD.findall(text)]
    name = "_".join(words)
    return name if name[:1].isalpha() else f"UPSTREAM_{name}".rstrip("_")
