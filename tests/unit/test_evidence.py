"""Evidence as it is kept: what is written is read back, and nothing else is taken for it."""

import msgspec
import pytest

from paidup.evidence import DisputeSays, PaymentSays, RefundSays, decode, encode
from paidup.testing.builders import dispute_says, not_found, refund_says, says

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
