"""The access file: what it declares, and what is said where it cannot be used."""

from pathlib import Path
from textwrap import dedent

import pytest

from asyncproxy.access.access_file import AccessFile, load_access_file
from asyncproxy.access.api_keys import new_key, sha256_of
from asyncproxy.access.principal import Principal
from asyncproxy.access.rules import Action, Rule, Scope
from asynctasks.errors import AccessFileError

RULES = "rules: [{may: [read]}]\n"
DIGEST = "ab" * 32


def load(folder: Path, text: str, **files: str) -> AccessFile:
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(dedent(content))
    file = folder / "access.yaml"
    file.write_text(dedent(text))
    return load_access_file(file)


def faults(folder: Path, text: str, **files: str) -> list[str]:
    with pytest.raises(AccessFileError) as caught:
        load(folder, text, **files)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_all_that_can_be_declared_is_read(tmp_path: Path):
    found = load(
        tmp_path,
        """
        authentication:
          jwt:
            - issuer: https://login.example.com
              audiences: [asyncapiproxy]
              claims: {principal: email, groups: /realm_access/roles, tenant: org_id}
              prefix: "login:"
              jwksUri: https://login.example.com/keys
            - {issuer: https://kubernetes.default.svc, audiences: [asyncapiproxy], tokenFile: token}
          apiKeys: {file: keys.yaml}
          headers:
            principal: X-Forwarded-User
            groups: X-Forwarded-Groups
            prefix: "sso:"
            trustedProxies: [10.0.0.0/8, "fd00::/8", 192.0.2.1]
          anonymous: allow
        rules:
          - {groups: [ops], tasks: all, may: [submit, read, cancel, retry, delete, operate]}
          - {principals: ["system:serviceaccount:shop:*"], operations: [create-client], may: [read]}
        quotas:
          - per: tenant
            submit: {ratePerSecond: 0.5, burst: 20}
            queued: 100
            running: 5
            waiting: 9
        """,
        keys=f"""
        shop: {{sha256: {DIGEST}, tenant: acme, groups: [ops], expires: 2030-01-01}}
        """,
    )
    ways = found.authentication
    login, kubernetes = ways.jwt
    assert (login.claims.principal, login.claims.groups) == ("email", "/realm_access/roles")
    assert (kubernetes.claims.principal, kubernetes.claims.groups) == ("sub", None)
    assert ways.headers
    assert [str(one) for one in ways.headers.trusted_proxies] == [
        "10.0.0.0/8",
        "fd00::/8",
        "192.0.2.1/32",
    ]
    assert ways.anonymous == "allow"
    assert found.rules.rules == (
        Rule(groups=("ops",), tasks=Scope.ALL, may=frozenset(Action)),
        Rule(
            principals=("system:serviceaccount:shop:*",),
            operations=("create-client",),
            may=frozenset({Action.READ}),
        ),
    )
    (quota,) = found.quotas
    assert quota.submit
    assert (quota.submit.rate_per_second, quota.submit.burst) == (0.5, 20)
    assert (quota.per, quota.queued, quota.running, quota.waiting) == ("tenant", 100, 5, 9)
    (key,) = found.api_keys.values()
    assert key.principal == Principal(name="key:shop", tenant="acme", groups=frozenset({"ops"}))
    assert key.expires_at == 1893456000


def test_a_key_is_known_by_its_hash_and_by_each_of_several_while_it_is_replaced(tmp_path: Path):
    old, new = new_key(), new_key()
    text = f"""
        authentication: {{apiKeys: {{file: keys.yaml, prefix: "k/"}}}}
        {RULES}"""
    hashes = [sha256_of(each).hex() for each in (old, new)]
    found = load(tmp_path, text, keys=f"shop: {{sha256: [{', '.join(hashes)}]}}").api_keys
    assert {found[sha256_of(each)].principal.name for each in (old, new)} == {"k/shop"}


def way(declared: str) -> str:
    return f"authentication: {{{declared}}}\n{RULES}"


def issuer(*keys: str) -> str:
    """The keys stand in the third line and those after it."""
    lines = "".join(f"      {key}\n" for key in keys)
    return f"authentication:\n  jwt:\n    - audiences: [b]\n{lines}{RULES}"


def issuers(*declared: str) -> str:
    lines = "".join(f"    - {{{one}, audiences: [b]}}\n" for one in declared)
    return f"authentication:\n  jwt:\n{lines}{RULES}"


def headers(declared: str) -> str:
    return way(f"headers: {{principal: X-User, {declared}}}")


def rule(declared: str) -> str:
    return f"authentication: {{anonymous: allow}}\nrules: [{{{declared}}}]\n"


def quotas(*declared: str) -> str:
    lines = "".join(f"  - {{{one}}}\n" for one in declared)
    return f"{way('anonymous: allow')}quotas:\n{lines}"


A, JWT = "issuer: https://a.example", "authentication.jwt.0"
URL_EXPECTED = "expected https://host/path, or http:// on the loopback"
PROXIES = "1: authentication.headers.trustedProxies"
BAD = {
    "nothing": ("", "1: authentication: is missing"),
    "a list": ("- a", "1: the file: expected keys and values below it"),
    "no YAML": ("a: [", "1: no YAML: expected the node content, but found '<stream end>'"),
    "twice": (f"{RULES}{RULES}", "2: 'rules' stands here twice"),
    "unknown key": (f"{RULES}rule: 1\n", "2: rule: unknown key; expected one of authentication, "),
    "no rules": ("authentication: {anonymous: allow}", "1: rules: is missing"),
    "empty rules": ("rules: []\nauthentication: {anonymous: allow}", "1: rules: expected at least"),
    "nobody": (way(""), "1: authentication: nobody could call: expected jwt, apiKeys, headers or"),
    "anonymous": (
        way("anonymous: maybe"),
        "1: authentication.anonymous: expected 'deny' or 'allow' (it is 'maybe')",
    ),
    "no audience": (way(f"jwt: [{{{A}}}]"), f"1: {JWT}.audiences: is missing"),
    "no audiences": (
        way(f"jwt: [{{{A}, audiences: []}}]"),
        f"1: {JWT}.audiences: expected at least one",
    ),
    "plain issuer": (
        issuer("issuer: http://a.example"),
        f"4: {JWT}.issuer: {URL_EXPECTED} (it is 'http://a.example')",
    ),
    "no host": (issuer("issuer: 'https://'"), f"4: {JWT}.issuer: {URL_EXPECTED}"),
    "a password": (issuer("issuer: https://a:b@c"), f"4: {JWT}.issuer: {URL_EXPECTED}"),
    "plain keys": (issuer(A, "jwksUri: http://a.example"), f"5: {JWT}.jwksUri: {URL_EXPECTED}"),
    "one issuer twice": (
        issuers(A, f"{A}, prefix: c"),
        "4: authentication.jwt.1.issuer: this issuer stands here twice",
    ),
    "one prefix twice": (
        issuers(A, "issuer: https://c.example"),
        "4: authentication.jwt.1.prefix: jwt.0 has the prefix '': two callers could have one na",
    ),
    "a prefix that begins with another": (
        issuers(f"{A}, prefix: a", " issuer: https://c.example, prefix: ab"),
        "4: authentication.jwt.1.prefix: jwt.0 has the prefix 'a': two callers could have one na",
    ),
    "unknown claim": (
        issuer(A, "claims: {name: sub}"),
        f"5: {JWT}.claims.name: unknown key; expected one of groups, principal, tenant",
    ),
    "bad pointer": (
        issuer(A, "claims: {principal: /a~2}"),
        f"5: {JWT}.claims.principal: expected in a JSON Pointer ~0 for ~ and ~1 for /",
    ),
    "no certificates file": (
        issuer(A, "caFile: none.pem"),
        f"5: {JWT}.caFile: none.pem: cannot be read: No such file or directory",
    ),
    "no certificates": (issuer(A, "caFile: keys.yaml"), f"5: {JWT}.caFile: keys.yaml: holds no"),
    "no proxies": (headers(""), f"{PROXIES}: is missing"),
    "empty proxies": (headers("trustedProxies: []"), f"{PROXIES}: expected at least one"),
    "no network": (
        headers("trustedProxies: [10.0.0.1/8]"),
        f"{PROXIES}.0: expected addresses such as 10.0.0.0/8: 10.0.0.1/8 has host bits set",
    ),
    "a number": (headers("trustedProxies: [10]"), f"{PROXIES}.0: expected addresses such as 10."),
    "all": (headers("trustedProxies: [0.0.0.0/0]"), f"{PROXIES}.0: these are all addresses there"),
    **{
        f"all but a few: {wide}": (
            headers(f"trustedProxies: ['{wide}']"),
            f"{PROXIES}.0: these are all addresses there are",
        )
        for wide in ("0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/7", "::/0", "8000::/1", "2000::/15")
    },
    **{
        f"mapped: {mapped}": (
            headers(f"trustedProxies: ['{mapped}']"),
            f"{PROXIES}.0: expected addresses of IPv4 in their own form, such as 10.0.0.0/8",
        )
        for mapped in ("::ffff:0:0/96", "::ffff:10.0.0.0/104", "::ffff:10.0.0.1")
    },
    **{
        f"the request's own {name}": (
            way(f"headers: {{principal: {name}, trustedProxies: ['::1']}}"),
            f"1: authentication.headers.principal: {name} says something else in each request",
        )
        for name in (
            *("Host", "Cookie", "Content-Type", "Content-Length"),
            *("Transfer-Encoding", "connection"),
        )
    },
    "one header for two": (
        headers("groups: X-Groups, tenant: x-user, trustedProxies: ['::1']"),
        "1: authentication.headers.tenant: this header says principal already",
    ),
    "no header": (
        way("headers: {principal: X User, trustedProxies: ['::1']}"),
        "1: authentication.headers.principal: expected a header's name (it is 'X User')",
    ),
    "the token's header": (
        way("headers: {principal: authorization, trustedProxies: ['::1']}"),
        "1: authentication.headers.principal: authorization bears what callers prove themselves by",
    ),
    "no action": (
        rule("may: [write]"),
        "2: rules.0.may.0: expected 'submit', 'read', 'cancel', 'retry', 'delete' or 'operate'",
    ),
    "to operate what is everyone's by a rule about one's own": (
        rule("tasks: tenant, may: [read, operate]"),
        "2: rules.0.may: operate has no effect without `tasks: all`",
    ),
    "to cancel what one may not see": (
        rule("tasks: all, may: [submit, cancel]"),
        "2: rules.0.may: cancel has no effect without read",
    ),
    "to operate what one may not see": (
        rule("tasks: all, may: [operate]"),
        "2: rules.0.may: operate has no effect without read",
    ),
    "nothing allowed": (rule("may: []"), "2: rules.0.may: expected at least one"),
    "no scope": (
        rule("tasks: mine, may: [read]"),
        "2: rules.0.tasks: expected 'own', 'tenant' or 'all' (it is 'mine')",
    ),
    "an empty list, which is not everyone": (
        rule("groups: [], may: [read]"),
        "2: rules.0.groups: expected at least one",
    ),
    "a text in place of a list": (
        rule("groups: ops, may: [read]"),
        "2: rules.0.groups: expected a list (it is 'ops')",
    ),
    **{
        f"{key} without a value": (
            rule(f"{key}: , may: [read]"),
            f"2: rules.0.{key}: has no value; leave it out, or say what it is",
        )
        for key in ("principals", "tenants", "groups")
    },
    "certificates without a value": (issuer(A, "caFile:"), f"5: {JWT}.caFile: has no value"),
    "a bound without a value": (
        quotas("per: tenant, queued: 1, running: "),
        "4: quotas.0.running: has no value",
    ),
    "a path that no system has": (
        way(r'apiKeys: {file: "keys\0.yaml"}'),
        r"1: authentication.apiKeys.file: expected text that can be printed (it is 'keys\x00",
    ),
    "certificates that nobody has": (
        issuer(A, r'caFile: "a\nb"'),
        f"5: {JWT}.caFile: expected text that can be printed",
    ),
    "a pattern that nobody sees": (
        rule(r'groups: ["a\e[2J"], may: [read]'),
        "2: rules.0.groups.0: expected text that can be printed",
    ),
    "no limit": (quotas("per: tenant"), "4: quotas.0: expected one of queued, running, submit,"),
    "per what": (quotas("per: group"), "4: quotas.0.per: expected 'tenant' or 'principal'"),
    "two quotas": (
        quotas("per: tenant, queued: 1", "per: tenant, running: 1"),
        "5: quotas.1.per: there is a quota per tenant already",
    ),
    "no rate": (
        quotas("per: tenant, submit: {ratePerSecond: 0, burst: 1}"),
        "4: quotas.0.submit.ratePerSecond: expected greater than or equal to 0.00001 (it is 0)",
    ),
    "a negative number": (
        quotas("per: tenant, queued: -1"),
        "4: quotas.0.queued: expected greater than or equal to 1 (it is -1)",
    ),
    "no keys file": (way("apiKeys: {file: none.yaml}"), "none.yaml: cannot be read: No such file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_line_and_key(name: str, tmp_path: Path):
    text, fault = BAD[name]
    told = faults(tmp_path, text, keys="")
    prefix = "" if fault.startswith("none") else "access.yaml:"
    assert any(line.startswith(f"{prefix}{fault}") for line in told), told


BAD_KEYS = {
    "a list": ("- a", "1: the file: expected names, and below each its sha256"),
    "no name": (f"a b: {{sha256: {DIGEST}}}", "1: a b: expected a name of letters, digits and"),
    "no hash": ("a: {}", "1: a.sha256: is missing"),
    "a key that is not hashed": (
        "a: {sha256: hunter2}",
        "1: a.sha256: expected the key's SHA-256 in 64 hexadecimal digits, or a list of them",
    ),
    "no hashes": ("a: {sha256: []}", "1: a.sha256: expected the key's SHA-256 in 64 hexadecimal"),
    "no key at all": (
        f"a: {{sha256: [{DIGEST}, {sha256_of('').hex()}]}}",
        "1: a.sha256: this is the SHA-256 of an empty text, which is no key",
    ),
    "one key for two": (
        f"a: {{sha256: {DIGEST}}}\nb: {{sha256: {DIGEST}}}",
        "2: b.sha256: key:a has the same key",
    ),
    "no day": (f"a: {{sha256: {DIGEST}, expires: soon}}", "1: a.expires: expected a day (2027-01-"),
    "no zone": (
        f"a: {{sha256: {DIGEST}, expires: 2027-01-31T12:00:00}}",
        "1: a.expires: expected a day (2027-01-31) or a time with its zone",
    ),
    "unknown key": (
        f"a: {{sha256: {DIGEST}, group: b}}",
        "1: a.group: unknown key; expected one of expires, groups, sha256, tenant",
    ),
    "no end": (f"a: {{sha256: {DIGEST}, expires: }}", "1: a.expires: has no value; leave it out"),
    "no text": (f'a: {{sha256: {DIGEST}, tenant: "a\\u0007"}}', "1: a.tenant: expected text that"),
}


RAW = f"aap_hunter2-{'x' * 30}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"shop: {RAW}", "1: shop: expected keys and values below it"),
        ("shop: hunter2", "1: shop: expected keys and values below it"),
        (f"shop: [{RAW}]", "1: shop: expected keys and values below it"),
        (f"{RAW}: {{sha256: {DIGEST}}}", "1: aap_…: expected a name of letters, digits and"),
        (f"shop: {{{RAW}: a}}", "1: shop.aap_…: unknown key; expected one of"),
        (
            f"shop: {{sha256: {DIGEST}, tenant: {RAW * 9}}}",
            "1: shop.tenant: expected at most",
        ),
        (f"shop: {{sha256: {DIGEST}, expires: hunter2}}", "1: shop.expires: expected a day"),
        (f"shop: {{sha256: {DIGEST}, groups: {RAW}}}", "1: shop.groups: expected a list"),
        (f"{RAW}: {{}}\n{RAW}: {{}}", "2: 'aap_…' stands here twice"),
        (f"shop: *{RAW}", "1: no YAML"),
    ],
)
def test_a_key_in_any_place_of_the_file_is_never_quoted(text: str, fault: str, tmp_path: Path):
    access = f"authentication: {{apiKeys: {{file: keys.yaml}}}}\n{RULES}"
    told = faults(tmp_path, access, keys=text)
    assert "hunter2" not in str(told)
    assert any(line.startswith(f"keys.yaml:{fault}") for line in told), told


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_bad_file_of_keys_is_refused_by_line_and_name_and_never_quotes_a_hash(
    name: str, tmp_path: Path
):
    text, fault = BAD_KEYS[name]
    access = f"authentication: {{apiKeys: {{file: keys.yaml}}}}\n{RULES}"
    (told,) = faults(tmp_path, access, keys=text)
    assert told.startswith(f"keys.yaml:{fault}")
    assert "hunter2" not in told
    assert DIGEST not in told


def test_all_faults_are_told_at_once(tmp_path: Path):
    text = "authentication: {anonymous: maybe}\nrules:\n  - {may: [write]}\n  - {tasks: mine}\n"
    assert [line.split(": ")[1] for line in faults(tmp_path, text)] == [
        "authentication.anonymous",
        "rules.0.may.0",
        "rules.1.may",
        "rules.1.tasks",
    ]
