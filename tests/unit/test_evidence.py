"""Evidence as it is kept: what is written is read back, and nothing else is taken for it."""

from datetime import timedelta

import msgspec
import pytest

from paidup.errors import InvalidRequest
from paidup.evidence import (
    EARLIEST,
    LATEST,
    MAX_NOTE_CHARS,
    MAX_NUMBER_CHARS,
    DisputeSays,
    PaymentSays,
    RefundSays,
    decode,
    encode,
)
from paidup.testing.builders import dispute_says, not_found, paid, refund_says, says

KINDS = [
    *map(says, PaymentSays), not_found(), *map(refund_says, RefundSays), *map(dispute_says, DisputeSays),
]  # fmt: skip


@pytest.mark.parametrize("evidence", KINDS, ids=lambda e: f"{type(e).__name__}-{e.says}")
def test_what_is_kept_is_read_back(evidence) -> None:
    """Kind, money, aware times and all: the inbox and the journal lose nothing."""
    assert evidence == decode(encode(evidence))


def test_what_is_not_stated_is_not_written() -> None:
    """Absent stays absent; an empty field would read as a statement."""
    kept = msgspec.json.decode(encode(not_found()))
    assert {"amount", "payee", "channel_txn_id", "occurred_at"}.isdisjoint(kept)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b'{"type":"payment"}',
        b'{"type":"rumour"}',
        b"paid",
        encode(not_found()).replace(b"not_found", b"so"),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    """Half a piece of evidence is none."""
    with pytest.raises(msgspec.MsgspecError):
        decode(data)


NUMBERS = ["channel", "account", "key", "merchant_ref", "channel_txn_id", "payee"]


@pytest.mark.parametrize(("name", "most"), [*((name, MAX_NUMBER_CHARS) for name in NUMBERS), ("note", MAX_NOTE_CHARS)])
def test_what_no_index_could_hold_is_refused(name: str, most: int) -> None:
    """A NUL, or more characters than an honest number or note has; signed by the channel or not."""
    assert "x" * most == getattr(paid(**{name: "x" * most}), name)
    for wrong in ("x" * (most + 1), "a\x00b"):
        with pytest.raises(InvalidRequest, match="is no such text"):
            paid(**{name: wrong})


@pytest.mark.parametrize("name", ["merchant_refund_ref", "channel_refund_id"])
def test_the_numbers_of_a_refund_are_held_to_the_same(name: str) -> None:
    """They are looked up by, too."""
    with pytest.raises(InvalidRequest, match="is no such text"):
        refund_says(RefundSays.SUCCEEDED, **{name: "x" * (MAX_NUMBER_CHARS + 1)})


def test_a_note_may_be_longer_than_a_number() -> None:
    """It is for people, and no index holds it."""
    assert MAX_NUMBER_CHARS < len(paid(note="x" * MAX_NOTE_CHARS).note)


def test_what_is_said_to_have_happened_in_another_age_is_refused() -> None:
    """A clock that was never set, or a number of milliseconds read as seconds."""
    for at in (EARLIEST, LATEST, None):
        assert at == paid(occurred_at=at).occurred_at
    for at in (EARLIEST - timedelta(microseconds=1), LATEST + timedelta(microseconds=1)):
        with pytest.raises(InvalidRequest, match="said to have happened"):
            paid(occurred_at=at)
