"""What stands behind one scene of a timeline, word for word: raw bytes, headers, evidence, answers; masked for eyes
that need no personal data."""

from collections.abc import Mapping, Sequence

import msgspec

from paidup.db.transaction import Tx
from paidup.delivery import attempts
from paidup.errors import NotFound
from paidup.hand.personal import mask
from paidup.intake import inbox
from paidup.journal import store as journal
from paidup.orders import store as orders
from paidup.orders.order import MASK, Order
from paidup.payments import store as payments
from paidup.refunds import store as refunds

MAX_SHOWN_CHARS = 64 << 10


class Block(msgspec.Struct, frozen=True):
    """A titled piece of text; the title is translated."""

    title: str
    text: str


class Detail(msgspec.Struct, frozen=True):
    """What there is to read about one thing: a few facts, then the raw texts."""

    title: str
    shop: str
    facts: Sequence[tuple[str, str]]
    blocks: Sequence[Block]

    def masked(self) -> "Detail":
        """With personal data taken out."""
        facts = [(name, MASK if name == "buyer_ref" else mask(value)) for name, value in self.facts]
        blocks = [Block(block.title, mask(block.text)) for block in self.blocks]
        return Detail(self.title, self.shop, facts, blocks)


async def detail_of(tx: Tx, order_id: str, kind: str, thing_id: str) -> Detail:
    """What stands behind a thing of this order. Raises NotFound."""
    readers = {"buyer": _buyer, "callback": _callback, "decision": _decision, "call": _call, "attempt": _attempt}
    order = await orders.get(tx, order_id)
    found = await readers[kind](tx, order, thing_id) if kind in readers and order else None
    if found is None:
        raise NotFound("this is not kept any more, or never was; raw texts are kept for 90 days")
    return found


async def _buyer(_tx: Tx, order: Order, order_id: str) -> Detail | None:
    if not order.buyer_ref or order.id != order_id:
        return None
    return Detail("Buyer", order.shop, [("buyer_ref", order.buyer_ref)], [])


async def _callback(tx: Tx, order: Order, callback_id: str) -> Detail | None:
    row = await inbox.get(tx, callback_id)
    its = [
        entry for entry in await journal.of_callback(tx, callback_id, since=order.since) if entry.order_id == order.id
    ]
    return callback_detail(row) if row and its else None


def callback_detail(row: Mapping[str, object]) -> Detail:
    """A callback as it came."""
    facts = [(name, str(row[name])) for name in ("id", "channel", "account", "kind", "dedup_key", "target")]
    raw = row["body"]
    return Detail(
        "Callback",
        str(row["shop"]),
        facts,
        [
            Block("Headers", headers_text(str(row["headers"]))),
            Block("Body", raw_text(raw if isinstance(raw, bytes) else b"")),
        ],
    )


async def _decision(tx: Tx, order: Order, decision_id: str) -> Detail | None:
    entry = next((e for e in await journal.of_order(tx, order.id, since=order.since) if e.id == decision_id), None)
    if entry is None:
        return None
    facts = [(name, str(getattr(entry, name) or "")) for name in ("id", "road", "outcome", "why", "before", "after")]
    return Detail("Decision", entry.shop, facts, [Block("Evidence", _pretty(entry.evidence))])


async def _call(tx: Tx, order: Order, call_id: str) -> Detail | None:
    subjects = [p.id for p in await payments.of_orders(tx, [order.id])]
    subjects += [r.id for r in await refunds.of_orders(tx, [order.id])]
    call = next((c for c in await journal.calls_of(tx, subjects, since=order.since) if c.id == call_id), None)
    if call is None:
        return None
    names = ("id", "purpose", "outcome", "why", "status", "elapsed_ms", "subject_id")
    facts = [(name, str(getattr(call, name))) for name in names]
    return Detail("Call to the channel", call.shop, facts, [Block("Answer", _pretty(call.answer))])


async def _attempt(tx: Tx, order: Order, attempt_id: str) -> Detail | None:
    attempt = next((a for a in await attempts.attempts_of(tx, order.id, since=order.since) if a.id == attempt_id), None)
    if attempt is None:
        return None
    names = ("id", "event_id", "endpoint_id", "outcome", "why", "status", "elapsed_ms", "number")
    facts = [(name, str(getattr(attempt, name))) for name in names]
    return Detail("Delivery", attempt.shop, facts, [Block("Answer", raw_text(attempt.answer))])


def headers_text(text: str) -> str:
    """Headers, one a line."""
    pairs = msgspec.json.decode(text, type=list[tuple[str, str]])
    return "\n".join(f"{name}: {value}" for name, value in pairs)


def raw_text(raw: bytes) -> str:
    """Bytes as text; those that are no UTF-8 are escaped, JSON gets line breaks."""
    return _pretty(raw.decode("utf-8", "backslashreplace"))


def _pretty(text: str) -> str:
    """JSON with line breaks; anything else as it is."""
    try:
        shown = msgspec.json.format(text.encode(), indent=2).decode() if text[:1] in "{[" else text
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        shown = text
    return shown[:MAX_SHOWN_CHARS]
