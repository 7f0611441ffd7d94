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
    "a header of the answer that is none": (
        upstream(responseHeaders='["X A"]'),
        "6: operations.a.upstream.responseHeaders: 'X A' is no name of a header (RFC 9110 §5.1)",
    ),
    "a cookie for all": (
        upstream(responseHeaders="[X-A, Set-Cookie]"),
        (
            "6: operations.a.upstream.responseHeaders: Set-Cookie cannot be chosen: a cookie is "
            "for who made that exchange"
        ),
    ),
    "a header of the connection to the upstream": (
        upstream(responseHeaders="[Keep-Alive]"),
        (
            "6: operations.a.upstream.responseHeaders: Keep-Alive cannot be chosen: it belongs to "
            "the exchange with the upstream, not to its answer"
        ),
    ),
    "a header of the moment": (
        upstream(responseHeaders="[X-RateLimit-Remaining]"),
        (
            "6: operations.a.upstream.responseHeaders: X-RateLimit-Remaining cannot be chosen: it "
            "tells of the moment of the call, and an answer may be given again"
        ),
    ),
    "headers of the answer as one text": (
        upstream(responseHeaders="X-A"),
        "6: operations.a.upstream.responseHeaders: expected a list (it is 'X-A')",
    ),
    "addresses rewritten from nowhere": (
        upstream(rewriteLocation="{to: /}"),
        "6: operations.a.upstream.rewriteLocation.from: is missing",
    ),
    "addresses rewritten from what is no URL": (
        upstream(rewriteLocation="{from: u.example, to: /}"),
        (
            "6: operations.a.upstream.rewriteLocation.from: expected http://…, https://… or "
            "{NAME_OF_AN_ENVIRONMENT_VARIABLE}…, without ? or # (it is 'u.example')"
        ),
    ),
    "addresses rewritten to another host": (
        upstream(rewriteLocation="{from: http://u, to: //v/}"),
        (
            "6: operations.a.upstream.rewriteLocation.to: expected a path of the proxy: / or "
            "/clients (it is '//v/')"
        ),
    ),
    "an unknown key of rewriteLocation": (
        upstream(rewriteLocation="{from: http://u, to: /, url: a}"),
        ("6: operations.a.upstream.rewriteLocation.url: unknown key; expected one of from, to"),
    ),
    "redirects that nobody knows": (
        upstream(redirects="forward"),
        (
            "6: operations.a.upstream.redirects: expected 'fail', 'answer' or 'follow' "
            "(it is 'forward')"
        ),
    ),
    "an auth that nobody knows": (
        upstream(auth="{basic: a}"),
        (
            "6: operations.a.upstream.auth.basic: unknown key; expected one of oauth2\n"
            "ops.yaml:6: operations.a.upstream.auth.oauth2: is missing"
        ),
    ),
    "an unknown key of oauth2": (
        upstream(auth='{oauth2: {tokenUrl: http://t, clientId: a, clientSecret: "{B}", scope: a}}'),
        (
            "6: operations.a.upstream.auth.oauth2.scope: unknown key; expected one of audience, "
            "clientId, clientSecret, scopes, tokenUrl; did you mean scopes?"
        ),
    ),
    "a secret in the file, which is not told": (
        upstream(auth="{oauth2: {tokenUrl: http://t, clientId: a, clientSecret: hunter2}}"),
        (
            "6: operations.a.upstream.auth.oauth2.clientSecret: expected "
            "{NAME_OF_AN_ENVIRONMENT_VARIABLE} alone"
        ),
    ),
    "tokens from what is no URL": (
        upstream(auth='{oauth2: {tokenUrl: t/x, clientId: a, clientSecret: "{B}"}}'),
        (
            "6: operations.a.upstream.auth.oauth2.tokenUrl: expected http://…, https://… or "
            "{NAME_OF_AN_ENVIRONMENT_VARIABLE}… (it is 't/x')"
        ),
    ),
    "several scopes in one": (
        upstream(
            auth='{oauth2: {tokenUrl: http://t, clientId: a, clientSecret: "{B}", scopes: [a b]}}'
        ),
        "6: operations.a.upstream.auth.oauth2.scopes: 'a b' is no scope (RFC 6749 §3.3)",
    ),
    "the caller's way to be authorized and ours": (
        upstream(
            auth='{oauth2: {tokenUrl: http://t, clientId: a, clientSecret: "{B}"}}',
            forwardHeaders="[Authorization]",
        ),
        "4: operations.a.upstream: `auth` and a header Authorization: expected one of them",
    ),
    "two ways to be authorized": (
        upstream(
            auth='{oauth2: {tokenUrl: http://t, clientId: a, clientSecret: "{B}"}}',
            headers="{authorization: a}",
        ),
        "4: operations.a.upstream: `auth` and a header Authorization: expected one of them",
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
    "a forwarded header that is none": (
        upstream(forwardHeaders='["X A"]'),
        "6: operations.a.upstream.forwardHeaders: 'X A' is no name of a header (RFC 9110 §5.1)",
    ),
    "a wildcard": (
        upstream(forwardHeaders='"X-*"'),
        "6: operations.a.upstream.forwardHeaders: expected a list (it is 'X-*')",
    ),
    "a forwarded header of the connection": (
        upstream(forwardHeaders="[Accept, Connection]"),
        (
            "6: operations.a.upstream.forwardHeaders: Connection is not forwarded: the connection "
            "makes it"
        ),
    ),
    "a forwarded cookie": (
        upstream(forwardHeaders="[cookie]"),
        (
            "6: operations.a.upstream.forwardHeaders: cookie is not forwarded: what a browser "
            "keeps for the proxy is not the upstream's"
        ),
    ),
    "a forwarded type of another body": (
        upstream(forwardHeaders="[Content-Type]"),
        (
            "6: operations.a.upstream.forwardHeaders: Content-Type is not forwarded: the body is "
            "made of the arguments"
        ),
    ),
    "a forwarded header twice": (
        upstream(forwardHeaders="[Accept, accept]"),
        "6: operations.a.upstream.forwardHeaders: accept stands here twice",
    ),
    "a forwarded header that is fixed, too": (
        upstream(headers="{accept: text/csv}", forwardHeaders="[Accept]"),
        "4: operations.a.upstream: Accept stands in `headers` and in `forwardHeaders`",
    ),
    "a name of ours for an argument": (
        upstream(url='"http://u/{taskId}"')
        + "\n    arguments: {type: object, properties: {taskId: {}}}\n",
        (
            "4: operations.a.upstream: {taskId} stands for the task's id and cannot stand for an "
            "argument"
        ),
    ),
    "another name of ours for an argument": (
        upstream(headers='{X-Tenant: "{tenant}"}')
        + "\n    arguments: {type: object, properties: {tenant: {}}}\n",
        (
            "4: operations.a.upstream: {tenant} stands for the organisation of its caller and "
            "cannot stand for an argument"
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), UPSTREAMS.values(), ids=UPSTREAMS)
def test_a_broken_upstream_is_told_by_line_key_and_what_was_expected(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"
