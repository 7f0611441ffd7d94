"""Blobs for who has none: all bodies are small, and nothing can be kept or read."""

from typing import Any

from asynctasks.blobs.blobs import Blobs

_NOTHING: Any = None
NO_BLOBS = Blobs(_NOTHING, _NOTHING, inline_bytes=65_536)
