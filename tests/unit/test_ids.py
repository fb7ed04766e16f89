"""Identifiers: sortable, unique, fit for every channel."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paidup import ids
from paidup.testing.builders import NOW, after, payment_id

KINDS = [ids.ORDER, ids.PAYMENT, ids.REFUND, ids.EVENT, ids.CALLBACK, ids.CASE, ids.ENDPOINT, ids.CALL]


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_fits_the_narrowest_channel(kind: str) -> None:
    """Letters and digits only, at most 32 characters: WeChat Pay's and UnionPay's rule for order numbers."""
    assert re.fullmatch(rf"{kind}[0-9a-z]{{27}}", ids.new_id(kind, NOW))


@given(first=st.integers(0, 10**9), gap_ms=st.integers(1, 10**12))
def test_later_ids_sort_after_earlier_ones(first: int, gap_ms: int) -> None:
    """By a millisecond already, and decades apart."""
    earlier = after(first / 10)
    later = earlier + timedelta(milliseconds=gap_ms)
    assert ids.new_id(ids.ORDER, earlier) < ids.new_id(ids.ORDER, later)


@pytest.mark.parametrize("shard", [0, 1, 31, 32, 777, ids.MAX_SHARD])
def test_the_shard_is_read_back(shard: int) -> None:
    """From an id, and from every id derived from it."""
    made = ids.new_id(ids.PAYMENT, NOW, shard)
    assert (shard, shard) == (ids.shard_of(made), ids.shard_of(ids.derived_id(ids.REFUND, made, "late_payment")))


def test_a_thousand_ids_of_one_millisecond_differ() -> None:
    """80 bits of chance each."""
    assert 1000 == len({ids.new_id(ids.PAYMENT, NOW) for _ in range(1000)})


def test_the_same_cause_gives_the_same_derived_id() -> None:
    """Doing something twice names the same thing; another cause, payment or kind names another."""
    first = ids.derived_id(ids.REFUND, payment_id(1), "second_payment")
    others = {
        ids.derived_id(ids.REFUND, payment_id(1), "late_payment"),
        ids.derived_id(ids.REFUND, payment_id(2), "second_payment"),
        ids.derived_id(ids.PAYMENT, payment_id(1), "second_payment"),
    }
    assert first == ids.derived_id(ids.REFUND, payment_id(1), "second_payment")
    assert (3, False) == (len(others), first in others)


def test_a_derived_id_looks_like_any_other() -> None:
    """30 characters of the same alphabet: it goes to the channels as a refund's number."""
    assert re.fullmatch(r"ref[0-9a-z]{27}", ids.derived_id(ids.REFUND, payment_id(), "requested/a key of the shop's"))


def test_the_spread_keeps_to_its_share() -> None:
    """Retries spread by a tenth to either side, and not all alike."""
    factors = [ids.spread() for _ in range(500)]
    assert 0.9 <= min(factors) < 1 < max(factors) <= 1.1


def test_the_ids_of_a_series_ascend_differ_and_are_of_the_common_form() -> None:
    """Within one kind and shard, and between two series of one millisecond, and next to ids made one by one."""
    first, second = ids.Series(NOW), ids.Series(NOW)
    made = [first.new_id(ids.EVENT) for _ in range(3000)]
    assert made == sorted(made)
    assert 6000 == len({*made, *(second.new_id(ids.EVENT) for _ in range(3000))})
    assert (len(ids.new_id(ids.EVENT, NOW)), ids.new_id(ids.EVENT, NOW)[:14]) == (len(made[0]), made[0][:14])
    assert made[-1] < ids.new_id(ids.EVENT, NOW + timedelta(milliseconds=1))


@pytest.mark.parametrize("shard", [0, 31, 777, ids.MAX_SHARD])
def test_an_id_of_a_series_carries_the_shard_of_another(shard: int) -> None:
    """An event goes where its order is."""
    order = ids.new_id(ids.ORDER, NOW, shard)
    assert shard == ids.shard_of(ids.Series(NOW).new_id(ids.EVENT, like=order))


def test_what_sorts_last_has_nothing_but_letters() -> None:
    """A mark such as ~ comes after letters in ASCII only: to a database that sorts as people do it comes first, and the
    first page of a list was empty."""
    last = ids.last_of(ids.ORDER)
    assert last > ids.new_id(ids.ORDER, NOW + timedelta(days=365_000), ids.MAX_SHARD)
    assert set(last.removeprefix(ids.ORDER)) <= set(ids.ALPHABET[10:])
