"""What reconciliation left behind, beside what the channels printed, read once at the end of a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec

from paidup.channels.bill import BillKind
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED
from paidup.reconcile import bills, runs, store
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.party import Party
from paidup.reconcile.states import UNSETTLED
from paidup.refunds.states import State as RefundState
from paidup.sandbox.bookings import Entry
from paidup.simulator.bill_fates import FatedBills, Planted
from paidup.simulator.books import Sides
from paidup.simulator.ground import Ground

ACCOUNT = "main"
MANY = 100_000
"""More than a run can have of anything."""

PAID_BY_BILL = """
SELECT payment_id, min(decided_at) FROM decisions
WHERE road = 'bill' AND outcome = 'applied' AND after LIKE '%payment paid%' AND before NOT LIKE '%payment paid%'
GROUP BY payment_id"""


class AccountSum(msgspec.Struct, frozen=True, kw_only=True):
    """One account over a whole run: bill = ours + differences that are listed, to the minor unit.

    listed_minor: what the breaks that are not settled say that the bill has more. healed: breaks that agree now.
    """

    account: str
    currency: str
    lines: int
    bill_minor: int
    ours_minor: int
    listed_minor: int
    unsettled: int
    healed: int

    def plus(self, other: "AccountSum") -> "AccountSum":
        """With another run of the same account."""
        numbers = ("lines", "bill_minor", "ours_minor", "listed_minor", "unsettled", "healed")
        added = {name: getattr(self, name) + getattr(other, name) for name in numbers}
        return msgspec.structs.replace(self, **added)

    @property
    def adds_up(self) -> bool:
        """Whether nothing is missing, and nothing is hidden."""
        return self.bill_minor == self.ours_minor + self.listed_minor


class Billed(msgspec.Struct, frozen=True):
    """Both sides once more, with the bills. latest: of each (channel, day) the trade bill that holds. calm_at: since
    when nothing went wrong with bills any more; opened_at: since when they were fetched."""

    sides: Sides
    printed: FatedBills
    breaks: Sequence[Break]
    runs: Mapping[tuple[str, date], runs.Run]
    latest: Mapping[tuple[str, date], bills.Kept]
    paid_by_bill: Mapping[str, datetime]
    parties: Mapping[str, Party]
    opened_at: datetime
    calm_at: datetime
    people_take: timedelta = timedelta(0)
    """So long a repair may wait for people."""

    def planted(self) -> list[Planted]:
        """What is wrong with the lines of bills that were read; and lines whose lack left a day without any bill."""
        return [
            one
            for one in self.printed.planted(ACCOUNT)
            if not self.is_none(one.channel, one.day)
            or (one.what == "missing" and (one.channel, one.day) in self.latest)
        ]

    def is_none(self, channel: str, day: date) -> bool:
        """Whether that day has no bill, as the channel says."""
        kept = self.latest.get((channel, day))
        return kept is None or kept.state == "none"

    def lines(self) -> list[tuple[str, date, Entry]]:
        """All lines as they are printed, with what is wrong with them: (channel, day, line)."""
        return [
            (channel, day, entry)
            for (channel, day), zone in self.printed.days.items()
            if not self.is_none(channel, day)
            for entry in self.printed.as_printed(channel, ACCOUNT, day, zone)
        ]

    def payment(self, number: str) -> Payment | None:
        """Our payment by the number that the channel's line has for it."""
        mine = self.sides.books.payments.values()
        return next((p for p in mine if number in (p.merchant_ref, p.channel_txn_id)), None)

    def sums(self) -> list[AccountSum]:
        """Each account's, by its name."""
        bill, lines, ours, listed = Counter[_Key](), Counter[_Key](), Counter[_Key](), Counter[_Key]()
        for channel, _, entry in self.lines():
            bill[channel, entry.currency] += entry.amount_minor
            lines[channel, entry.currency] += 1
        for payment in self.sides.books.payments.values():
            if payment.state in MONEY_ARRIVED:
                ours[payment.channel, payment.currency] += payment.amount_minor
        for refund in self.sides.books.refunds.values():
            if refund.state is RefundState.SUCCEEDED:
                ours[refund.channel, refund.currency] -= refund.amount_minor
        unsettled, healed = Counter[_Key](), Counter[_Key]()
        for one in self.breaks:
            (unsettled if one.state in UNSETTLED else healed)[one.channel, one.currency] += 1
            listed[one.channel, one.currency] += listed_minor(one)
        return [
            AccountSum(
                account=f"{key[0]}/{ACCOUNT}",
                currency=key[1],
                lines=lines[key],
                bill_minor=bill[key],
                ours_minor=ours[key],
                listed_minor=listed[key],
                unsettled=unsettled[key],
                healed=healed[key],
            )
            for key in sorted({*bill, *ours, *listed})
        ]


_Key = tuple[str, str]


def listed_minor(one: Break) -> int:
    """How much more the bill has than our books, by this break. What is held is not ours before a person said so; a
    fee, a balance and a payout are no amount that was paid."""
    if one.state not in UNSETTLED or one.kind in (Kind.FEE, Kind.BALANCE, Kind.PAYOUT):
        return 0
    is_held = one.ours is not None and one.ours.state == "held"
    return (one.bill_minor or 0) if is_held else one.differs_minor


async def read_billed(
    ground: Ground,
    sides: Sides,
    printed: FatedBills,
    parties: Sequence[Party],
    *,
    opened_at: datetime,
    calm_at: datetime,
    people_take: timedelta,
) -> Billed:
    """As it stands now."""
    async with ground.plain.session() as tx:
        breaks = await store.page(tx, store.Filter(), MANY)
        found = await runs.page(tx, None, MANY)
        kept = await bills.page(tx, None, MANY)
    trades = [one for one in reversed(kept) if one.kind is BillKind.TRADES and one.state != "refused"]
    return Billed(
        sides=msgspec.structs.replace(sides, differing=_differing(breaks)),
        printed=printed,
        breaks=breaks,
        runs={(run.channel, run.day): run for run in found},
        latest={(one.channel, one.day): one for one in sorted(trades, key=lambda one: one.state != "none")},
        paid_by_bill=dict([tuple(row) for row in await ground.admin.fetch(PAID_BY_BILL)]),
        parties={party.account.channel: party for party in parties},
        opened_at=opened_at,
        calm_at=calm_at,
        people_take=people_take,
    )


def _differing(breaks: Sequence[Break]) -> frozenset[str]:
    open_ones = [one for one in breaks if one.kind is Kind.AMOUNT and one.what == "payment" and one.state in UNSETTLED]
    return frozenset(one.payment_id for one in open_ones if one.payment_id is not None)
