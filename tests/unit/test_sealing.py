"""Sealed arguments can be read with a key, and with nothing else."""

import stat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasks.errors import SealedArgumentsError, SealingKeyMissingError, SettingsError
from asynctasks.operations import sealing
from asynctasks.operations.sealing import Sealing, kept_sealing_key, new_sealing_key

OLD, NEW = new_sealing_key(), new_sealing_key()
SECRETS: list[tuple[tuple[str, ...], Any]] = [(("password",), "correct horse"), (("a", "b"), [1])]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(), below, max_size=2),
    max_leaves=5,
)


@given(
    secrets=st.lists(
        st.tuples(st.lists(st.text(), min_size=1, max_size=3).map(tuple), json_values), min_size=1
    )
)
def test_unseal_is_the_inverse_of_seal(secrets: list[tuple[tuple[str, ...], Any]]):
    both = Sealing([NEW])
    assert both.unseal(both.seal(secrets)) == secrets


def test_a_token_never_holds_the_plain_text():
    token = Sealing([NEW]).seal(SECRETS)
    assert token is not None
    assert "correct" not in token
    assert "password" not in token


def test_the_same_secrets_make_another_token_each_time():
    both = Sealing([NEW])
    assert both.seal(SECRETS) != both.seal(SECRETS)


def test_no_secret_makes_no_token():
    assert Sealing([NEW]).seal([]) is None
    assert Sealing([]).seal([]) is None
    assert Sealing([]).unseal(None) == []


def test_a_rotated_key_still_unseals_and_the_first_one_seals():
    rotated = Sealing([NEW, OLD])
    assert rotated.unseal(Sealing([OLD]).seal(SECRETS)) == SECRETS
    assert Sealing([NEW]).unseal(rotated.seal(SECRETS)) == SECRETS
    with pytest.raises(SealedArgumentsError):
        Sealing([OLD]).unseal(rotated.seal(SECRETS))


def test_a_key_may_have_white_space_around_it():
    assert Sealing([f" {NEW}\n"]).unseal(Sealing([NEW]).seal(SECRETS)) == SECRETS


@pytest.mark.parametrize("keys", [[OLD], []])
def test_without_its_key_a_token_stays_closed(keys: list[str]):
    with pytest.raises(SealedArgumentsError, match="ASYNCAPIPROXY_SEALING_KEYS"):
        Sealing(keys).unseal(Sealing([NEW]).seal(SECRETS))


@pytest.mark.parametrize("token", ["", "gAAAAA", "é", "\ud800", "a b", "A" * 200])
def test_what_is_no_token_is_refused_like_a_foreign_one(token: str):
    with pytest.raises(SealedArgumentsError):
        Sealing([NEW]).unseal(token)


def test_a_changed_token_is_refused():
    token = Sealing([NEW]).seal(SECRETS)
    assert token is not None
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    with pytest.raises(SealedArgumentsError):
        Sealing([NEW]).unseal(changed)


@pytest.mark.parametrize(
    "key", ["", "short", "é" * 44, "not-a-key-" * 5, NEW[:-2], NEW[1:]], ids=range(6)
)
def test_what_is_no_key_is_refused_and_not_shown(key: str):
    with pytest.raises(SettingsError, match="ASYNCAPIPROXY_SEALING_KEYS") as caught:
        Sealing([NEW, key])
    assert NEW not in str(caught.value)
    assert not key or key not in str(caught.value)
    assert "asyncapiproxy sealing-key" in str(caught.value)


def test_operations_that_need_a_key_are_named_where_there_is_none():
    with pytest.raises(SealingKeyMissingError, match=r"create-client, change-client .*sealing-key"):
        Sealing([]).require_key(["create-client", "change-client"])
    Sealing([]).require_key([])
    Sealing([NEW]).require_key(["create-client"])


def test_nothing_is_sealed_without_a_key():
    with pytest.raises(SealingKeyMissingError):
        Sealing([]).seal(SECRETS)


def test_the_kept_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    file = tmp_path / "sealing.key"
    key = kept_sealing_key(file)
    assert kept_sealing_key(file) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Sealing([key]).seal(SECRETS)
    assert list(tmp_path.iterdir()) == [file]


def test_a_crash_half_way_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def crash(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("asynctasks.operations.sealing.os.fsync", crash)
    with pytest.raises(OSError, match="no space"):
        kept_sealing_key(tmp_path / "sealing.key")
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_another_process_made_meanwhile_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "sealing.key"

    def slow_key() -> str:
        file.write_text(OLD)
        return NEW

    monkeypatch.setattr(sealing, "new_sealing_key", slow_key)
    assert kept_sealing_key(file) == OLD
    assert file.read_text() == OLD


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path):
    with get_context("fork").Pool(4) as processes:
        keys = processes.map(kept_sealing_key, [tmp_path / "sealing.key"] * 40, chunksize=1)
    assert len(set(keys)) == 1


@pytest.mark.parametrize("content", ["", "\n", "garbage", "\xff\xfe"])
def test_a_file_that_holds_no_key_is_named_and_not_overwritten(tmp_path: Path, content: str):
    file = tmp_path / "sealing.key"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"sealing\.key holds no sealing key"):
        kept_sealing_key(file)
    assert file.read_bytes() == content.encode("latin-1")


def test_a_new_key_is_new():
    assert new_sealing_key() != new_sealing_key()
    assert orjson.loads(orjson.dumps(new_sealing_key())).isascii()


@given(headers=st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_headers_are_unsealed_as_they_were_sealed(headers: list[tuple[str, str]]):
    both = Sealing([NEW, OLD])
    token = both.seal_headers(headers)
    assert (token is None) == (not headers)
    assert both.unseal_headers(token) == tuple(headers)
    if token is not None:
        with pytest.raises(SealedArgumentsError):
            Sealing([OLD]).unseal_headers(token)
        assert Sealing([OLD, NEW]).unseal_headers(token) == tuple(headers)


@pytest.mark.parametrize("token", ["", "é", "no base 64", "AAAA", "A" * 400])
def test_what_is_no_token_of_headers_is_refused(token: str):
    for sealed in (Sealing([NEW]), Sealing([])):
        with pytest.raises(SealedArgumentsError):
            sealed.unseal_headers(token)


def test_headers_are_not_sealed_without_a_key_nor_twice_alike():
    with pytest.raises(SealingKeyMissingError):
        Sealing([]).seal_headers([("Accept", "a")])
    assert len({Sealing([NEW]).seal_headers([("Authorization", "hunter2")]) for _ in range(3)}) == 3
