"""What an operations file may not say of the calls of an upstream."""

import pytest

from asynctestkit.operations_texts import fault_of, operation, upstream

UPSTREAMS = {
    "unknown key of TLS": (
        upstream(tls="{ca: a}"),
        ("6: operations.a.upstream.tls.ca: unknown key; expected one of caFile, certFile, keyFile"),
    ),
    "TLS that asks for nothing": (
        upstream(tls="{}"),
        "6: operations.a.upstream.tls: expected `caFile`, `certFile` or both",
    ),
    "a key without its certificate": (
        upstream(tls="{caFile: a, keyFile: b}"),
        "6: operations.a.upstream.tls: `keyFile` without `certFile`",
    ),
    "a response of more than is kept": (
        upstream(maxResponseBytes="104857601"),
        (
            "6: operations.a.upstream.maxResponseBytes: expected less than or equal to "
            "104857600 (it is 104857601)"
        ),
    ),
    "the upstream's time in the handler's place": (
        operation(handler="", upstream="{url: http://u/}", timeoutSeconds="3"),
        "2: operations.a: `timeoutSeconds` is the handler's here: expected it below `upstream`",
    ),
    "a header that is ours": (
        upstream(headers="{idempotency-key: a}"),
        (
            "6: operations.a.upstream.headers: idempotency-key cannot be chosen: it is the "
            "task's id, the same for every attempt"
        ),
    ),
    "a header that the connection makes": (
        upstream(headers='{Content-Length: "3"}'),
        (
            "6: operations.a.upstream.headers: Content-Length cannot be chosen: "
            "the connection makes it"
        ),
    ),
    "a header that would ask for packed answers": (
        upstream(headers="{Accept-Encoding: gzip}"),
        (
            "6: operations.a.upstream.headers: Accept-Encoding cannot be chosen: answers are "
            "asked for as they are, and so bounded by their size"
        ),
    ),
    "a header twice": (
        upstream(headers="{X-A: a, x-a: b}"),
        "6: operations.a.upstream.headers: x-a stands here twice",
    ),
    "a header with an expression of URLs": (
        upstream(headers='{X-A: "Bearer {+KEY}"}'),
        "6: operations.a.upstream.headers: {+KEY} in X-A: expected a plain {name}",
    ),
    "a host of more than a label": (
        upstream(url='"https://u{+rest}"'),
        (
            "5: operations.a.upstream.url: {+rest} stands in the host: expected a plain {name} "
            "there, or a / before it (it is 'https://u{+rest}')"
        ),
    ),
    "a secret in the upstream's URL": (
        operation(
            arguments="{type: object, properties: {b: {type: string, writeOnly: true}}}",
            handler="",
            upstream='{url: "http://u/{?b}"}',
        ),
        (
            "2: operations.a: 'b' is writeOnly and stands in the upstream's URL, for all on the "
            "way to log: send it in the body or in a header"
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), UPSTREAMS.values(), ids=UPSTREAMS)
def test_a_broken_upstream_is_told_by_line_key_and_what_was_expected(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"
