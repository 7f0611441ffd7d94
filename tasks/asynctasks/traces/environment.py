"""Whether a process tells its spans, and to whom: by OpenTelemetry's own variables.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
import re

import structlog

from asynctasks.errors import SettingsError
from asynctasks.traces.traces import NO_TRACES, Traces

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
_SAMPLERS = ("always_on", "always_off", "traceidratio")
SAMPLERS = (*_SAMPLERS, *(f"parentbased_{name}" for name in _SAMPLERS))

log = structlog.get_logger(__name__)


def open_traces(*, service: str) -> Traces:
    """What makes the spans of this process, by this name unless the environment has another.

    Nothing of OpenTelemetry is imported where no exporter and no endpoint is named. Raises
    SettingsError.
    """
    exporter = _exporter()
    if exporter is None:
        return NO_TRACES
    _check_sampler()
    try:
        from asynctasks.traces.opentelemetry_traces import exported_traces  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        log.warning("no traces: pip install 'asyncapiproxy[otel]'", missing=error.name)
        return NO_TRACES
    return exported_traces(service=service, is_to_console=exporter == "console")


def _exporter() -> str | None:
    """`otlp` or `console`; None where spans are told to nobody."""
    if _value("OTEL_SDK_DISABLED").lower() == "true":
        return None
    named = _value("OTEL_TRACES_EXPORTER").lower()
    exporter = named or ("otlp" if any(map(_value, ENDPOINTS)) else "none")
    if exporter not in {"otlp", "console", "none"}:
        raise SettingsError(f"OTEL_TRACES_EXPORTER: expected otlp, console or none, not {exporter}")
    if exporter == "otlp":
        _check_collector()
    return None if exporter == "none" else exporter


def _check_collector() -> None:
    for name in PROTOCOLS:
        if _value(name).lower() not in {"", PROTOCOL}:
            raise SettingsError(f"{name}: expected {PROTOCOL}, not {_value(name)}")
    for name in ENDPOINTS:
        if not re.fullmatch(r"(https?://[^/\s]+.*)?", _value(name)):
            # Without the value, which may hold a password.
            raise SettingsError(f"{name}: expected http://… or https://…")


def _check_sampler() -> None:
    """The SDK takes all traces where it does not understand which, which may be far too many."""
    sampler = _value("OTEL_TRACES_SAMPLER").lower()
    if sampler and sampler not in SAMPLERS:
        raise SettingsError(
            f"OTEL_TRACES_SAMPLER: expected one of {', '.join(SAMPLERS)}, not {sampler}"
        )
    share = _value("OTEL_TRACES_SAMPLER_ARG")
    if not sampler.endswith("traceidratio"):
        return
    try:
        is_share = 0 <= float(share) <= 1
    except ValueError:
        is_share = False
    if not is_share:
        raise SettingsError(
            f"OTEL_TRACES_SAMPLER_ARG: expected the share of traces, 0 to 1, not {share!r}"
        )


def _value(name: str) -> str:
    return os.environ.get(name, "").strip()
