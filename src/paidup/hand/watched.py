"""What is watched: every unfinished payment and refund, with the time of its next question to the channel."""

from datetime import UTC, datetime

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import InvalidRequest
from paidup.money import Money

# A page walks the index by due_at, so that only what is shown is joined; the columns are those of Watched.
PAGE = """
SELECT d.subject_id, d.kind, d.channel, d.account, d.due_at, d.asked, d.asked_at, coalesce(p.state, r.state) AS state,
  coalesce(p.amount_minor, r.amount_minor) AS amount_minor, coalesce(p.currency, r.currency) AS currency, o.shop,
  o.id AS order_id, o.shop_order_no, coalesce(p.created_at, r.created_at) AS since
FROM due d LEFT JOIN payments p ON p.id = d.subject_id LEFT JOIN refunds r ON r.id = d.subject_id
JOIN orders o ON o.id = coalesce(p.order_id, r.order_id)
WHERE (d.due_at, d.subject_id) > ($1, $2) AND ($3::timestamptz IS NULL OR d.due_at < $3)
  AND ($4::text IS NULL OR d.channel = $4) AND ($5::text IS NULL OR d.account = $5)
  AND ($6::text IS NULL OR o.shop = $6)
ORDER BY d.due_at, d.subject_id LIMIT $7"""

_FIRST = (datetime(1, 1, 1, tzinfo=UTC), "")


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A payment or refund that is not settled. due_at: when it is asked about next; asked: how often it was; asked_at:
    when it was claimed for a question last; since: when it was started."""

    subject_id: str
    kind: str  # "payment" or "refund"
    channel: str
    account: str
    due_at: datetime
    asked: int
    asked_at: datetime | None
    state: str
    amount_minor: int
    currency: str
    shop: str
    order_id: str
    shop_order_no: str
    since: datetime

    @property
    def money(self) -> Money:
        """What is to be paid or given back."""
        return Money(self.amount_minor, self.currency)

    @property
    def mark(self) -> str:
        """Names the end of a page that ends with this one."""
        return f"{self.due_at.astimezone(UTC):%Y%m%dT%H%M%S.%f}~{self.subject_id}"


async def page(
    tx: Tx,
    limit: int,
    *,
    after: str | None = None,
    before: datetime | None = None,
    channel: str | None = None,
    account: str | None = None,
    shop: str | None = None,
) -> list[Watched]:
    """Those asked about soonest, first. after: the mark of the last one of the page before; before: only what was due
    before this moment. Raises InvalidRequest for a mark that is none."""
    start = read_mark(after) if after else _FIRST
    rows = await tx.fetch(PAGE, *start, before, channel, account, shop, limit)
    return [Watched(**dict(row)) for row in rows]


def read_mark(mark: str) -> tuple[datetime, str]:
    """The place that a mark names. Raises InvalidRequest."""
    at, _, subject_id = mark.partition("~")
    try:
        return datetime.strptime(at, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC), subject_id
    except ValueError:
        raise InvalidRequest("that is no mark of a page; begin without one") from None
