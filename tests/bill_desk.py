"""A merchant who fetches bills: the channel's own requests over real HTTP, from a sandbox with books of the test's."""

import io
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

import sandbox_merchant
from paidup.channels.accounts import AccountsFolder
from paidup.channels.bill import Bill, BillKind, BillName, BillProof
from paidup.channels.channel import Account
from paidup.channels.http import ChannelHttp, Sent
from paidup.channels.messages import BillAt, BillComing, NoBill, Success
from paidup.channels.registry import CHANNELS
from paidup.sandbox.bookings import Entry, Payout
from paidup.sandbox.ledger import Refund, RefundState, Trade, TradeState
from paidup.sandbox.server import Running, SandboxConfig, serving
from paidup.testing.clock import ManualClock

DAY = date(2026, 11, 22)
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)  # in Beijing
TITLES = ('两张票, "靠窗"', "50% off `now`, all of it", "茶", "", "a,`b,`c", "「夜」🌙")
MAX_BYTES = 10 << 20


class Desk:
    """The accounts called main at every channel, at 11 o'clock in the morning after DAY."""

    def __init__(self, running: Running, clock: ManualClock, folder: Path, http: ChannelHttp) -> None:
        self.world, self.sandbox, self.clock, self.http = running.sandbox.world, running.sandbox, clock, http
        self.base_url = running.base_url
        self._accounts = AccountsFolder(folder)

    def account(self, channel: str) -> Account:
        return self._accounts.current.get(channel, "main")

    async def ask(self, channel: str, name: BillName) -> Sent:
        account = self.account(channel)
        exchange = CHANNELS[channel].ask_bill(name, account, self.clock.now())
        return await self.http.send(account, exchange, now_of=self.clock.now, deadline_s=5)

    async def found(self, channel: str, name: BillName) -> BillAt | NoBill | BillComing:
        """What becomes of a bill that is asked for, until it is no longer being made on demand."""
        while True:
            sent = await self.ask(channel, name)
            assert isinstance(sent.outcome, Success), sent.outcome
            found = sent.outcome.bill
            assert found is not None
            if not isinstance(found, BillComing) or found.made_as is None:
                return found
            name = msgspec.structs.replace(name, made_as=found.made_as)
            await self.clock.advance(10)

    async def download(
        self, channel: str, at: BillAt, *, max_bytes: int = MAX_BYTES, deadline_s: float = 5
    ) -> tuple[bytes, Sent]:
        account, into = self._accounts.current.get(channel, "main"), io.BytesIO()
        sent = await self.http.download(
            account, at.download, into, max_bytes=max_bytes, now_of=self.clock.now, deadline_s=deadline_s
        )
        return into.getvalue(), sent

    async def fetch(self, channel: str, kind: BillKind = BillKind.TRADES, day: date = DAY) -> tuple[bytes, BillProof]:
        at = await self.found(channel, BillName(kind=kind, day=day))
        assert isinstance(at, BillAt), at
        content, sent = await self.download(channel, at)
        assert sent.outcome == Success(), sent.outcome
        return content, at.proof

    def read(self, channel: str, content: bytes, proof: BillProof, kind: BillKind, day: date = DAY) -> Bill:
        account = self._accounts.current.get(channel, "main")
        return CHANNELS[channel].read_bill(io.BytesIO(content), BillName(kind=kind, day=day), account, proof)

    async def bill(self, channel: str, kind: BillKind = BillKind.TRADES, day: date = DAY) -> Bill:
        return self.read(channel, *await self.fetch(channel, kind, day), kind, day)

    def booked(self, channel: str, day: date = DAY) -> list[Entry]:
        """The truth."""
        zone = CHANNELS[channel].bill_zone(self._accounts.current.get(channel, "main"))
        return list(self.sandbox.world.bills.booked(channel, "main", day, zone))

    def printed(self, channel: str, day: date = DAY) -> list[Entry]:
        """What the bill says of the day, with the faults that are set."""
        zone = CHANNELS[channel].bill_zone(self.account(channel))
        return list(self.sandbox.world.bills.day(channel, "main", day, zone).entries)

    def paid_out(self, day: date = DAY) -> list[Payout]:
        """Stripe's payouts of the day, in truth."""
        zone = CHANNELS["stripe"].bill_zone(self.account("stripe"))
        return list(self.sandbox.world.bills.day("stripe", "main", day, zone).payouts)

    def sell(self, channel: str, count: int = 12, at: datetime = NOON) -> None:
        """So many payments, a minute apart; every third is given back in part, at Stripe every sixth refund fails."""
        for n in range(count):
            when = at + timedelta(minutes=n)
            trade = self.sandbox.world.ledger.enter(_paid(channel, f"{when:%Y%m%d}{n:04}", 1250 + 731 * n, n, when))
            if n % 3 == 0:
                trade.refunds.append(_given_back(trade, n, when + timedelta(minutes=5)))


def _paid(channel: str, ref: str, amount_minor: int, n: int, at: datetime) -> Trade:
    number = {"wechat": f"42000{ref:0>23}", "alipay": f"{ref[:8]}220014{ref:0>14}", "stripe": f"pi_3{ref:0>23}"}
    title = TITLES[n % len(TITLES)]
    extra = {"subject": title} if channel == "alipay" else {"description": title}
    return Trade(
        channel=channel, account="main", merchant_ref=f"pay{ref}", number=number[channel], amount_minor=amount_minor,
        currency="USD" if channel == "stripe" else "CNY", method={"wechat": "native"}.get(channel, "precreate"),
        opened_at=at, expires_at=None, state=TradeState.PAID, paid_at=at, extra=extra,
    )  # fmt: skip


def _given_back(trade: Trade, n: int, at: datetime) -> Refund:
    days_ago = (DAY - at.date()).days
    fails = trade.channel == "stripe" and n % 6 == 0
    number = {"wechat": "50300", "alipay": f"{trade.number}/", "stripe": "re_3"}[
        trade.channel
    ] + f"{days_ago % 1000 * 10_000 + n:023}"
    return Refund(
        trade, f"ref{trade.merchant_ref[3:]}", number, trade.amount_minor // 3 + 1,
        RefundState.FAILED if fails else RefundState.SUCCEEDED, made_at=at, settled_at=at + timedelta(seconds=9),
    )  # fmt: skip


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    """A sandbox of its own, on loopback."""
    clock = ManualClock(datetime(2026, 11, 23, 3, 0, tzinfo=UTC))
    with _folder() as folder:
        config = SandboxConfig(accounts_dir=folder, port=0, paidup_url=sandbox_merchant.PAIDUP)
        async with serving(config, clock, {"main": sandbox_merchant.keys()}) as running:
            http = ChannelHttp()
            yield Desk(running, clock, folder, http)
            await http.aclose()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paidup-accounts-") as folder:
        yield Path(folder)
