"""Tells whether two calls with one idempotency key have the same arguments.

The digest is keyed, since the arguments may hold secrets that are short enough to be guessed from
a plain one.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import orjson

from asynctasks.json_values import by_value, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence


def fingerprints(arguments: dict[str, Any], keys: Sequence[str]) -> list[str]:
    """The digest by each key, the newest key's first; the last is that of no key.

    Numbers are compared by value: `1`, `1.0` and `1e0` are the same. The first is for keeping. A
    kept one is compared with all, so that keys can be rotated.
    """
    canonical = write_json(by_value(arguments), orjson.OPT_SORT_KEYS)
    return [hmac.new(key.encode(), canonical, hashlib.sha256).hexdigest() for key in (*keys, "")]
