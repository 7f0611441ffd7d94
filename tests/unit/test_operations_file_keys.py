"""What is wrong with an operation's keys is told by line, key and what was expected."""

import pytest

from asynctestkit.operations_texts import GOOD, fault_of, operation, upstream

OPERATION_KEYS = (
    "arguments, body, callbacks, coalesce, deadlineSeconds, delaySeconds, description, handler, "
    "labels, limits, maxQueued, parameters, priority, queue, redirect, response, retentionSeconds, "
    "retry, route, summary, timeoutSeconds, upstream, waitSeconds"
)


KEYS = {
    "unknown key at the top": (
        GOOD + "version: 1\n",
        "24: version: unknown key; expected `operations`, `limits` or `callbacks`",
    ),
    "unknown key of an operation": (
        operation(wait_seconds="3"),
        (
            f"5: operations.a.wait_seconds: unknown key; expected one of {OPERATION_KEYS}; "
            "did you mean waitSeconds?"
        ),
    ),
    "unknown key of an upstream": (
        upstream(timeout="3"),
        (
            "6: operations.a.upstream.timeout: unknown key; expected one of "
            "auth, forwardHeaders, headers, maxResponseBytes, method, poll, redirects, "
            "responseHeaders, rewriteLocation, timeoutSeconds, tls, url; did you mean "
            "timeoutSeconds?"
        ),
    ),
    "unknown key of a retry": (
        operation(retry="{attempts: 3}"),
        (
            "5: operations.a.retry.attempts: unknown key; expected one of "
            "backoffSeconds, maxAttempts, onStatus; did you mean maxAttempts?"
        ),
    ),
    "unknown status of a retention": (
        operation(retentionSeconds="{suceeded: 3600}"),
        (
            "5: operations.a.retentionSeconds.suceeded: unknown key; expected one of "
            "cancelled, expired, failed, succeeded; did you mean succeeded?"
        ),
    ),
    "a name where the key above is the name": (
        operation(name="b"),
        "5: operations.a.name: unknown key; the name is the key above",
    ),
    "no settings": (
        "operations:\n  a:\n",
        "2: operations.a: expected the operation's settings: route, arguments, upstream, …",
    ),
    "bad name": (
        "operations:\n  Create_Client: {}\n",
        (
            "2: operations.Create_Client: an operation's name is made of a-z, 0-9 and -, "
            "begins with a letter and ends with a letter or digit, 63 at most: create-client"
        ),
    ),
    "a name that ends with neither letter nor digit": (
        "operations:\n  a--: {}\n",
        (
            "2: operations.a--: an operation's name is made of a-z, 0-9 and -, "
            "begins with a letter and ends with a letter or digit, 63 at most: create-client"
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), KEYS.values(), ids=KEYS)
def test_an_unknown_key_is_told_with_those_that_are_known(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"


ROUTES = {
    "missing route": (operation(route=""), "2: operations.a.route: is missing"),
    "bad method": (
        operation(route="FETCH /a"),
        (
            "3: operations.a.route: expected a method (GET, HEAD, POST, PUT, PATCH, DELETE) and a "
            "path: POST /clients (it is 'FETCH /a')"
        ),
    ),
    "route is no text": (
        operation(route="{POST: /a}"),
        "3: operations.a.route: expected text",
    ),
    "route with a query": (
        operation(route="POST /a?b=c"),
        (
            "3: operations.a.route: expected a method (GET, HEAD, POST, PUT, PATCH, DELETE) and a "
            "path: POST /clients (it is 'POST /a?b=c')"
        ),
    ),
    "route that climbs": (
        operation(route="POST /a/../tasks"),
        (
            "3: operations.a.route: a path is made of segments such as "
            "/clients/{clientId}/orders (it is 'POST /a/../tasks')"
        ),
    ),
    "root route": (
        operation(route="POST /"),
        (
            "3: operations.a.route: a path is made of segments such as "
            "/clients/{clientId}/orders (it is 'POST /')"
        ),
    ),
    "reserved route": (
        operation(route="POST /tasks/x"),
        ("3: operations.a.route: /tasks is taken by the proxy itself (it is 'POST /tasks/x')"),
    ),
    "a route of who operates": (
        operation(route="GET /limits"),
        "3: operations.a.route: /limits is taken by the proxy itself (it is 'GET /limits')",
    ),
    "a route of who calls": (
        operation(route="GET /whoami"),
        "3: operations.a.route: /whoami is taken by the proxy itself (it is 'GET /whoami')",
    ),
    "the documentation's route": (
        operation(route="PUT /swagger/x"),
        ("3: operations.a.route: /swagger is taken by the proxy itself (it is 'PUT /swagger/x')"),
    ),
    "route that takes all": (
        operation(route="POST /{any}"),
        "3: operations.a.route: /{any} is taken by the proxy itself (it is 'POST /{any}')",
    ),
    "a route of many calls": (
        operation(route="POST /a:batch/"),
        (
            "3: operations.a.route: paths that end in :batch are taken by the proxy itself "
            "(it is 'POST /a:batch/')"
        ),
    ),
    "path argument twice": (
        operation(route="POST /a/{b}/{b}"),
        "3: operations.a.route: a name stands in the path twice (it is 'POST /a/{b}/{b}')",
    ),
    "path argument that is no property": (
        operation(route="POST /a/{b}"),
        "2: operations.a: 'b' stands in the route but is no property of `arguments`",
    ),
    "path argument that is writeOnly": (
        operation(
            arguments="{type: object, properties: {b: {type: string, writeOnly: true}}}",
            route="POST /a/{b}",
        ),
        "2: operations.a: 'b' is writeOnly and stands in the route, for all to see",
    ),
    "duplicate route": (
        operation() + "  b:\n    route: POST /a/\n    handler: a:b\n",
        "6: operations.b.route: a has this route already",
    ),
    "duplicate route under another argument's name": (
        operation(route="POST /a/{x}", arguments="{type: object, properties: {x: {}}}")
        + "  b:\n    route: POST /a/{y}\n    handler: a:b\n"
        + "    arguments: {type: object, properties: {y: {}}}\n",
        "8: operations.b.route: a has this route already",
    ),
}


@pytest.mark.parametrize(("text", "expected"), ROUTES.values(), ids=ROUTES)
def test_a_route_that_cannot_be_served_is_refused(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"


TARGETS = {
    "neither upstream nor handler": (
        operation(handler=""),
        "2: operations.a: expected either `upstream` or `handler`",
    ),
    "both upstream and handler": (
        upstream() + "\n    handler: a:b\n",
        "2: operations.a: expected either `upstream` or `handler`",
    ),
    "bad handler": (
        operation(handler="package.module.function"),
        (
            "4: operations.a.handler: expected package.module:function "
            "(it is 'package.module.function')"
        ),
    ),
    "upstream is no mapping": (
        operation(handler="", upstream="http://u/"),
        "4: operations.a.upstream: expected keys and values below it (it is 'http://u/')",
    ),
    "missing URL": (
        upstream(url="", method="PUT"),
        "4: operations.a.upstream.url: is missing",
    ),
    "URL of another scheme": (
        upstream(url="ftp://u/"),
        (
            "5: operations.a.upstream.url: expected http://…, https://… or "
            "{NAME_OF_AN_ENVIRONMENT_VARIABLE}… (it is 'ftp://u/')"
        ),
    ),
    "URL without a host": (
        upstream(url="http:///clients"),
        (
            "5: operations.a.upstream.url: expected http://…, https://… or "
            "{NAME_OF_AN_ENVIRONMENT_VARIABLE}… (it is 'http:///clients')"
        ),
    ),
    "URL with an open brace": (
        upstream(url='"http://u/{id"'),
        "5: operations.a.upstream.url: a brace is not closed (it is 'http://u/{id')",
    ),
    "URL with a bad expression": (
        upstream(url='"http://u/{a b}"'),
        ("5: operations.a.upstream.url: {a b} is no RFC 6570 expression (it is 'http://u/{a b}')"),
    ),
    "unknown method of an upstream": (
        upstream(method="FETCH"),
        (
            "6: operations.a.upstream.method: expected 'GET', 'HEAD', 'POST', 'PUT', 'PATCH' or "
            "'DELETE' (it is 'FETCH')"
        ),
    ),
    "bad name of a header": (
        upstream(headers='{"X Key": a}'),
        "6: operations.a.upstream.headers: 'X Key' is no name of a header (RFC 9110 §5.1)",
    ),
    "header of two lines": (
        upstream(headers='{X: "a\\nB: c"}'),
        "6: operations.a.upstream.headers: the value of X is not one line of ASCII text",
    ),
    "timeout of 0": (
        upstream(timeoutSeconds="0"),
        "6: operations.a.upstream.timeoutSeconds: expected greater than 0 (it is 0)",
    ),
    "negative timeout": (
        upstream(timeoutSeconds="-1"),
        "6: operations.a.upstream.timeoutSeconds: expected greater than 0 (it is -1)",
    ),
}


@pytest.mark.parametrize(("text", "expected"), TARGETS.values(), ids=TARGETS)
def test_what_an_operation_cannot_call_is_refused(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"


NUMBERS = {
    "wait window too long": (
        operation(waitSeconds="301"),
        "5: operations.a.waitSeconds: expected less than or equal to 300 (it is 301)",
    ),
    "wait window in words": (
        operation(waitSeconds="soon"),
        "5: operations.a.waitSeconds: expected a valid number (it is 'soon')",
    ),
    "bad queue": (
        operation(queue="My Queue"),
        (
            "5: operations.a.queue: a queue's name is made of a-z, 0-9 and -, 63 at most: "
            "clients (it is 'My Queue')"
        ),
    ),
    "no attempt": (
        operation(retry="{maxAttempts: 0}"),
        "5: operations.a.retry.maxAttempts: expected greater than or equal to 1 (it is 0)",
    ),
    "a switch in a number's place": (
        operation(maxQueued="true"),
        "5: operations.a.maxQueued: expected a valid integer (it is true)",
    ),
    "a switch in the place of seconds": (
        operation(waitSeconds="true"),
        "5: operations.a.waitSeconds: expected a valid number (it is true)",
    ),
    "a switch in the place of backoff": (
        operation(retry="{backoffSeconds: [true, 2]}"),
        "5: operations.a.retry.backoffSeconds.0: expected a valid number (it is true)",
    ),
    "a number in quotes": (
        operation(maxQueued='"3"'),
        "5: operations.a.maxQueued: expected a valid integer (it is '3')",
    ),
    "half an attempt": (
        operation(retry="{maxAttempts: 1.5}"),
        "5: operations.a.retry.maxAttempts: expected a valid integer (it is 1.5)",
    ),
    "status out of range": (
        operation(retry="{onStatus: [200]}"),
        ("5: operations.a.retry.onStatus.0: expected greater than or equal to 400 (it is 200)"),
    ),
    "status is no list": (
        operation(retry="{onStatus: 503}"),
        "5: operations.a.retry.onStatus: expected a list (it is 503)",
    ),
    "backoff in the wrong order": (
        operation(retry="{backoffSeconds: [60, 1]}"),
        (
            "5: operations.a.retry.backoffSeconds: the first number is the shortest backoff, "
            "the second the longest"
        ),
    ),
    "a label by which no task could be found": (
        operation(labels="{team: the blue one}"),
        (
            "5: operations.a.labels: expected names and values of letters, digits, '.', '_' and "
            "'-', in names '/' too, 63 at most, the first and the last a letter or digit; not "
            "'team=the blue one'"
        ),
    ),
    "a deadline before the delay is over": (
        operation(deadlineSeconds="60", delaySeconds="60"),
        "2: operations.a: deadlineSeconds: expected a time after the task's delay is over",
    ),
    "kept for a minute": (
        operation(retentionSeconds="60"),
        (
            "5: operations.a.retentionSeconds: expected 3600 to 3155760000 seconds, or as many for "
            "one or more of succeeded, failed, cancelled, expired (it is 60)"
        ),
    ),
    "kept for a time in words": (
        operation(retentionSeconds="7d"),
        (
            "5: operations.a.retentionSeconds: expected 3600 to 3155760000 seconds, or as many for "
            "one or more of succeeded, failed, cancelled, expired (it is '7d')"
        ),
    ),
    "failures kept for a minute": (
        operation(retentionSeconds="{failed: 60}"),
        (
            "5: operations.a.retentionSeconds.failed: expected greater than or equal to 3600 "
            "(it is 60)"
        ),
    ),
    "one backoff": (
        operation(retry="{backoffSeconds: 3}"),
        "5: operations.a.retry.backoffSeconds: expected a list (it is 3)",
    ),
}


@pytest.mark.parametrize(("text", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_out_of_its_range_is_told_with_the_range(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"
