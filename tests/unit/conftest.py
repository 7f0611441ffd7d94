"""Unit tests do no I/O; their time is noise on a busy machine, so hypothesis sets no deadline."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=60)
settings.load_profile("unit")
