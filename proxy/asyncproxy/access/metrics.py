"""What Prometheus reads of a proxy that has an access file: docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from asynctasks.declarations.file_watch import FileMetrics

FILE_METRICS = FileMetrics("access file")
UNAUTHENTICATED = Counter(
    "asyncapiproxy_unauthenticated",
    "Requests refused since it was not known who calls, by reason.",
    ["reason"],
    registry=None,
)
SIGNATURE_CHECKS = Counter(
    "asyncapiproxy_signature_checks",
    "Tokens whose signature was checked; the others were known or refused before.",
    registry=None,
)
KEYS_FETCHED_TIMESTAMP = Gauge(
    "asyncapiproxy_issuer_keys_fetched_timestamp_seconds",
    "When an issuer's keys were last fetched.",
    ["issuer"],
    registry=None,
)
METRICS = (*FILE_METRICS.all, UNAUTHENTICATED, SIGNATURE_CHECKS, KEYS_FETCHED_TIMESTAMP)
