"""What is sent to an upstream, and that nothing which was put in comes out in an error."""

from typing import Any

import pytest
from yarl import URL

from asyncexecutor.failures import AttemptFailedError, UpstreamHeaderError, UpstreamUrlError
from asyncexecutor.runner import Attempt
from asyncexecutor.upstream_request import Request, RequestTemplate
from asynctasks.errors import OperationsFileError
from asynctasks.json_values import read_json
from asynctasks.operations.operation import Operation
from asynctasks.operations.operations_file import parse_operations
from asynctasks.task import new_task_id

TASK_ID = new_task_id()
SECRET = "hunter2-s3cret"


def template(environment: dict[str, str] | None = None, **upstream: Any) -> RequestTemplate:
    operation = Operation.model_validate(
        {
            "name": "a",
            "route": "POST /a",
            "arguments": {
                "type": "object",
                "properties": {"id": {}, "token": {"writeOnly": True}, "n": {}, "host": {}},
            },
            "upstream": {"url": "{BASE}/x", **upstream},
        }
    )
    assert operation.upstream
    given = {"BASE": "https://u.example"} if environment is None else environment
    return RequestTemplate(operation, operation.upstream, given)


def request(arguments: dict[str, Any], **upstream: Any) -> Request:
    return template(**upstream).request(Attempt(TASK_ID, arguments))


def test_an_argument_in_a_header_is_sent_there_and_not_in_the_body():
    asked = request(
        {"token": SECRET, "id": 1}, headers={"Authorization": "Bearer {token}", "X-N": "n={n}"}
    )
    assert asked.headers["Authorization"] == f"Bearer {SECRET}"
    assert "X-N" not in asked.headers  # its argument was not given
    assert asked.body == b'{"id":1}'


@pytest.mark.parametrize(
    ("value", "sent"), [(False, "false"), (0, "0"), ("", ""), (1.5, "1.5"), ("{id}", "{id}")]
)
def test_a_value_in_a_header_is_written_as_json_writes_it(value: Any, sent: str):
    assert request({"n": value, "id": "x"}, headers={"X-N": "{n}"}).headers["X-N"] == sent


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "é", "\x00", [1], {"a": 1}])
def test_what_makes_no_header_is_refused_and_not_quoted(value: Any):
    with pytest.raises(UpstreamHeaderError) as caught:
        request({"n": value}, headers={"X-N": "{n}"})
    assert not caught.value.is_retryable
    assert "'n'" in str(caught.value)
    assert "Evil" not in str(caught.value)


def test_a_value_of_the_environment_is_never_taken_for_a_template():
    environment = {"BASE": "https://u.example", "KEY": "{id}{n}"}
    asked = template(environment, headers={"X-K": "{KEY}{n}"}).request(
        Attempt(TASK_ID, {"n": "{id}"})
    )
    assert asked.headers["X-K"] == "{id}{n}{id}"


def test_a_content_type_of_the_file_is_honoured_and_the_key_is_ours():
    asked = request({}, headers={"content-type": "application/vnd.api+json"})
    assert asked.headers == {
        "content-type": "application/vnd.api+json",
        "Idempotency-Key": str(TASK_ID),
    }
    assert request({}).headers["Content-Type"] == "application/json"
    assert "Content-Type" not in request({}, method="DELETE").headers


def test_a_secret_that_ends_in_a_newline_is_sent_without_it():
    environment = {"BASE": "https://u.example\n", "KEY": f"{SECRET}\r\n"}
    asked = template(environment, headers={"X-K": "{KEY}"}).request(Attempt(TASK_ID, {}))
    assert asked.headers["X-K"] == SECRET
    assert str(asked.url) == "https://u.example/x"


FILE = """\
operations:
  a:
    route: POST /a
    upstream:
      url: "{BASE}/x{?KEY}"
      headers:
        X-One: "{ONE}"
        X-Two: "{TWO}{THREE}"
      rewriteLocation: {from: "{FOUR}", to: /}
      auth:
        oauth2:
          tokenUrl: "{FIVE}"
          clientId: "{SIX}"
          clientSecret: "{THREE}"
          audience: "{id}"
    arguments: {type: object, properties: {id: {}}}
"""


def test_all_that_the_environment_lacks_or_spoils_is_told_at_once_by_its_line():
    (operation,) = parse_operations(FILE, name="ops.yaml").values()
    assert operation.upstream
    environment = {
        "BASE": f"https://{SECRET} x",
        "ONE": f"{SECRET}\nX: y",
        "THREE": "é",
        "FIVE": "a b",
    }
    with pytest.raises(OperationsFileError) as caught:
        RequestTemplate(operation, operation.upstream, environment)
    lacks = "is neither an argument nor set in the environment of this executor"
    spoils = "holds a space, a line break or what is not ASCII, in this executor's environment"
    assert str(caught.value).splitlines() == [
        f"ops.yaml:5: operations.a.upstream.url: BASE {spoils}",
        f"ops.yaml:5: operations.a.upstream.url: KEY {lacks}",
        f"ops.yaml:7: operations.a.upstream.headers.X-One: ONE {spoils}",
        f"ops.yaml:8: operations.a.upstream.headers.X-Two: THREE {spoils}",
        f"ops.yaml:8: operations.a.upstream.headers.X-Two: TWO {lacks}",
        f"ops.yaml:9: operations.a.upstream.rewriteLocation.from: FOUR {lacks}",
        f"ops.yaml:12: operations.a.upstream.auth.oauth2.tokenUrl: FIVE {spoils}",
        f"ops.yaml:13: operations.a.upstream.auth.oauth2.clientId: SIX {lacks}",
        f"ops.yaml:14: operations.a.upstream.auth.oauth2.clientSecret: THREE {spoils}",
        f"ops.yaml:15: operations.a.upstream.auth.oauth2.audience: id {lacks}",
    ]


def test_a_base_without_a_scheme_is_told_at_the_start_by_its_name():
    with pytest.raises(OperationsFileError) as caught:
        template({"BASE": f"{SECRET}.example"})
    assert str(caught.value) == (
        "operations.a.upstream.url: {BASE} is no URL: expected http:// or https://"
    )


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("{BASE}/{id}{?KEY}", {"id": ".."}),
        ("{BASE}/{id}{?KEY}", {"id": ""}),
        ("{BASE}/x{?id,KEY}", {"id": {"a": [SECRET]}}),
        ("https://{host}.u/{KEY}", {"host": f"{SECRET}/"}),
        ("https://u:{host}/{KEY}", {"host": "99999"}),
        ("https://{host}/{KEY}", {"host": ""}),
    ],
)
def test_what_makes_no_url_is_the_callers_fault_once_and_nothing_of_it_is_told(
    url: str, arguments: dict[str, Any]
):
    environment = {"BASE": f"https://{SECRET}.example", "KEY": SECRET}
    with pytest.raises(UpstreamUrlError) as caught:
        template(environment, url=url).request(Attempt(TASK_ID, arguments))
    shown: BaseException | None = caught.value
    assert isinstance(shown, AttemptFailedError)
    assert (shown.status, shown.is_retryable) == (422, False)
    assert SECRET not in str(shown)
    assert SECRET not in str(shown.__cause__)


@pytest.mark.parametrize("number", ["1.10", "1e3", "1234567890123456.78", "0.123456789012345678"])
def test_numbers_reach_the_upstream_as_they_were_written(number: str):
    arguments = read_json(f'{{"n": {number}, "id": [{number}]}}')
    asked = request(arguments, url="{BASE}/{n}", headers={"X-N": "{n}"})
    assert str(asked.url) == f"https://u.example/{number}"
    assert asked.headers["X-N"] == number
    assert asked.body == f'{{"id":[{number}]}}'.encode()


def test_the_callers_headers_are_sent_beside_ours_each_line_as_it_came():
    forwarded = (("Accept", "text/csv"), ("X-Tag", "a, b"), ("X-Tag", "é"))
    made = template(headers={"X-Fixed": "1"})
    asked = made.request(Attempt(TASK_ID, {}, headers=forwarded))
    assert list(asked.headers.items()) == [
        ("X-Fixed", "1"),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", str(TASK_ID)),
        *forwarded,
    ]
    assert "Accept" not in made.request(Attempt(TASK_ID, {})).headers


def test_the_tasks_id_stands_where_the_file_wants_it():
    asked = request({"id": 1}, url="{BASE}/jobs/{taskId}", headers={"X-Job": "job {taskId}"})
    assert str(asked.url) == f"https://u.example/jobs/{TASK_ID}"
    assert asked.headers["X-Job"] == f"job {TASK_ID}"
    assert asked.body == b'{"id":1}'


def test_a_further_call_of_the_upstream_shows_the_user_of_its_url():
    own = template(url="http://user:p%40ss@u.example/x")
    job, elsewhere = URL("http://u.example/jobs/1"), URL("http://other.example/jobs/1")
    further = [own.further(Attempt(TASK_ID, {}), url) for url in (job, elsewhere)]
    assert [one.is_own for one in further] == [True, False]
    assert str(further[0].url) == "http://user:p%40ss@u.example/jobs/1"
    assert further[1].url == elsewhere


def test_the_caller_stands_where_the_file_wants_it():
    made = template(
        url="{BASE}/of/{tenant}{?principal}",
        headers={"X-Caller": "{principal} of {tenant}", "X-Tenant": "{tenant}"},
    )
    asked = made.request(Attempt(TASK_ID, {"id": 1}, principal="ann b", tenant="a/b"))
    assert str(asked.url) == "https://u.example/of/a%2Fb?principal=ann%20b"
    assert (asked.headers["X-Caller"], asked.headers["X-Tenant"]) == ("ann b of a/b", "a/b")
    assert asked.body == b'{"id":1}'


def test_a_caller_without_a_tenant_leaves_out_the_header_and_makes_no_path():
    made = template(url="{BASE}/x{?tenant}", headers={"X-Tenant": "{tenant}", "X-Fixed": "1"})
    asked = made.request(Attempt(TASK_ID, {}, principal="ann"))
    assert str(asked.url) == "https://u.example/x"
    assert "X-Tenant" not in asked.headers
    with pytest.raises(UpstreamUrlError):
        template(url="{BASE}/of/{tenant}").request(Attempt(TASK_ID, {}, principal="ann"))


@pytest.mark.parametrize("name", ["a\r\nX-Admin: 1", "\u00e9", "a\0"])
def test_a_callers_name_that_no_header_can_hold_is_refused(name: str):
    with pytest.raises(UpstreamHeaderError):
        template(headers={"X-Caller": "{principal}"}).request(Attempt(TASK_ID, {}, principal=name))
