"""The sandbox's bills over real HTTP, asked for and read as the channels do: what is in them is what happened."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import msgspec
import pytest

from bill_desk import DAY, NOON, Desk, desk
from bill_side import fault, lines
from paidup.channels import registry
from paidup.channels.bill import BillFault, BillKind, BillLine, BillName, LineKind
from paidup.channels.messages import BillAt, BillComing, Declined, NoBill, Retryable, Success
from paidup.channels.stripe.amount import to_stripe
from paidup.errors import ConfigError
from paidup.money import Money
from paidup.sandbox.bookings import Entry
from paidup.sandbox.faults import BILL_SHARES, BillFaults, Faults
from paidup.sandbox.ledger import Refund, RefundState, Trade, TradeState

CHANNELS = ("wechat", "alipay", "stripe")


@pytest.fixture
async def there() -> AsyncIterator[Desk]:
    async with desk() as it:
        yield it


def entry_key(entry: Entry) -> tuple[object, ...]:
    refund = entry.refund_ref or None
    return (str(entry.kind), entry.number, entry.merchant_ref, refund, entry.amount_minor, entry.fee_minor, entry.at)


def line_key(line: BillLine) -> tuple[object, ...]:
    kind = {LineKind.REFUND_FAILED: "refund_failure"}.get(line.kind, str(line.kind))
    return (
        kind, line.channel_txn_id, line.merchant_ref, line.merchant_refund_ref, line.amount_minor, line.fee_minor,
        line.occurred_at,
    )  # fmt: skip


async def told(there: Desk, channel: str, **faults: float) -> Counter[tuple[object, ...]]:
    """The lines of the trade bill under these faults."""
    there.sandbox.faults = Faults(bill=BillFaults(**faults))
    return Counter(map(line_key, lines(await there.bill(channel))))


def truth(there: Desk, channel: str) -> Counter[tuple[object, ...]]:
    return Counter(map(entry_key, there.booked(channel)))


@pytest.mark.parametrize("currency", ["ISK", "UGX", "MGA", "JPY", "KWD"])
async def test_a_report_counts_in_the_units_of_the_currency(there: Desk, currency: str) -> None:
    """Stripe's API counts ISK and UGX in hundredths and MGA whole, its report does not: what was asked is booked."""
    asked, back = Money(130_000, currency), Money(50_000, currency)
    trade = there.sandbox.world.ledger.enter(
        Trade(
            channel="stripe", account="main", merchant_ref="pay1", number="pi_31", amount_minor=to_stripe(asked),
            currency=currency, method="payment_intent", opened_at=NOON, expires_at=None, state=TradeState.PAID,
            paid_at=NOON,
        )
    )  # fmt: skip
    given_back = Refund(trade, "ref1", "re_31", to_stripe(back), RefundState.SUCCEEDED, made_at=NOON, settled_at=NOON)
    trade.refunds.append(given_back)
    bill = await there.bill("stripe")
    assert [(130_000, currency), (-50_000, currency)] == [(it.amount_minor, it.currency) for it in lines(bill)]


@pytest.mark.parametrize("channel", CHANNELS)
async def test_the_trade_bill_is_what_happened(there: Desk, channel: str) -> None:
    """Every payment and refund of the day is in the bill, with its numbers, amount, fee and time; nothing else is."""
    there.sell(channel)
    there.sell(channel, at=NOON - timedelta(days=1))
    assert sum(truth(there, channel).values()) >= 16
    assert truth(there, channel) == await told(there, channel)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_the_fund_bill_moves_the_same_money(there: Desk, channel: str) -> None:
    """What moved on the balance, fees included, is the net of the trade bill."""
    there.sell(channel)
    trades, funds = [lines(await there.bill(channel, kind)) for kind in (BillKind.TRADES, BillKind.FUNDS)]
    assert sum(line.net_minor for line in trades) == sum(line.net_minor for line in funds)
    if channel == "stripe":
        assert [("activity", False), ("topups", True), ("payouts", True)] == [
            (it.word, not it.net_minor) for it in funds
        ]
    else:
        assert {line.kind for line in funds} <= {LineKind.PAYMENT, LineKind.REFUND, LineKind.FEE}


async def test_no_statement_is_no_error(there: Desk) -> None:
    """A day without any booking: WeChat Pay and Alipay have no bill, and say so; Stripe's is empty."""
    name = BillName(kind=BillKind.TRADES, day=DAY)
    assert [NoBill, NoBill] == [type(await there.found(channel, name)) for channel in ("wechat", "alipay")]
    assert [] == lines(await there.bill("stripe"))


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
async def test_a_bill_is_not_there_before_its_hour(there: Desk, channel: str) -> None:
    """In the night after the day the bill is coming, which is neither an error nor an empty day."""
    there.sell(channel)
    name = BillName(kind=BillKind.TRADES, day=DAY + timedelta(days=1))
    there.sell(channel, at=NOON + timedelta(days=1))
    await there.clock.advance(14 * 3600)
    assert isinstance(await there.found(channel, name), BillComing)
    await there.clock.advance(9 * 3600)
    assert isinstance(await there.found(channel, name), BillAt)


async def test_an_address_does_not_live_long(there: Desk) -> None:
    """Alipay's address is worth nothing after half a minute: asked again, there is a new one."""
    there.sell("alipay")
    at = await there.found("alipay", BillName(kind=BillKind.TRADES, day=DAY))
    assert isinstance(at, BillAt)
    await there.clock.advance(40)
    content, sent = await there.download("alipay", at)
    assert (b"", Retryable("HTTP 403 instead of the file")) == (content, sent.outcome)


async def test_a_file_larger_than_wanted_is_not_taken(there: Desk) -> None:
    """The download stops at its limit."""
    there.sell("alipay")
    at = await there.found("alipay", BillName(kind=BillKind.TRADES, day=DAY))
    assert isinstance(at, BillAt)
    _, sent = await there.download("alipay", at, max_bytes=100)
    assert Declined("too_large", "the file has more than 100 bytes") == sent.outcome


@pytest.mark.parametrize("channel", CHANNELS)
async def test_planted_lines_are_found_by_comparing(there: Desk, channel: str) -> None:
    """Faults of lines change some of them, the same ones each time, in a bill that is sound in itself."""
    there.sell(channel, 30)
    honest = truth(there, channel)
    missing, extra, twice = [await told(there, channel, **{name: 0.3}) for name in ("missing", "extra", "duplicate")]
    assert (True, Counter()) == (0 < sum((honest - missing).values()) < len(honest), missing - honest)
    assert (Counter(), True) == (honest - extra, 0 < sum((extra - honest).values()) < len(honest))
    assert (Counter(), True) == (honest - twice, set(twice - honest) <= set(honest) and twice != honest)
    assert missing == await told(there, channel, missing=0.3)


@pytest.mark.parametrize(("fault_name", "place"), [("wrong_amount", 4), ("wrong_fee", 5)])
@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_wrong_amount_or_fee_is_off_by_one(there: Desk, channel: str, fault_name: str, place: int) -> None:
    """The lines that differ do so in this one amount, by one minor unit."""
    there.sell(channel, 30)
    honest, wrong = truth(there, channel), await told(there, channel, **{fault_name: 0.3})
    gone, come = sorted(honest - wrong, key=str), sorted(wrong - honest, key=str)
    assert 0 < len(gone) < len(honest)
    assert {1} == {abs(a[place] - b[place]) for a, b in zip(gone, come, strict=True)}


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_line_on_the_wrong_day_comes_the_next_day(there: Desk, channel: str) -> None:
    """What is missing in one day's bill stands in the next day's."""
    there.sell(channel, 30)
    there.sell(channel, 3, at=NOON - timedelta(days=1))
    honest = truth(there, channel)
    there.sandbox.faults = Faults(bill=BillFaults(wrong_day=0.3))
    await there.clock.advance(36 * 3600)
    today = Counter(key[:6] for key in map(line_key, lines(await there.bill(channel))))
    tomorrow = Counter(key[:6] for key in map(line_key, lines(await there.bill(channel, day=DAY + timedelta(days=1)))))
    late = Counter(key[:6] for key in honest) - today
    assert 0 < sum(late.values())
    assert late == tomorrow


@pytest.mark.parametrize(
    ("channel", "kind"), [(channel, kind) for channel in CHANNELS for kind in registry.CHANNELS[channel].bills]
)
async def test_a_spoiled_file_is_refused_whole(there: Desk, channel: str, kind: BillKind) -> None:
    """Totals that do not fit, a file that is cut off, one that is not the one announced: not one line is read."""
    there.sell(channel)
    there.sell(channel, at=NOON - timedelta(days=2))  # which the day's payouts take
    found = {}
    for name in ("wrong_total", "truncated", "wrong_hash"):
        there.sandbox.faults = Faults(bill=BillFaults(**{name: 1.0}))
        content, proof = await there.fetch(channel, kind)
        found[name] = fault(lambda content=content, proof=proof: there.read(channel, content, proof, kind))
    other = BillFault.WRONG_HASH if channel == "wechat" else BillFault.BROKEN_FILE
    expected = {
        "wrong_total": BillFault.WRONG_TOTAL,
        "truncated": BillFault.BROKEN_FILE,
        "wrong_hash": other,
    }
    assert expected == found


@pytest.mark.parametrize("channel", CHANNELS)
async def test_the_same_bill_is_the_same_file(there: Desk, channel: str) -> None:
    """Fetched twice, also with faults, the file is the same byte for byte."""
    there.sell(channel)
    there.sandbox.faults = Faults(bill=BillFaults(missing=0.2, extra=0.2, wrong_amount=0.2))
    first, second = [await there.fetch(channel) for _ in range(2)]
    assert first == second


@pytest.mark.parametrize("name", BILL_SHARES)
def test_every_bill_fault_is_a_probability(name: str) -> None:
    """More than certain is refused, and every fault of the table is a field, and the other way round."""
    with pytest.raises(ConfigError, match=name):
        BillFaults(**{name: 1.1})
    fields = {field.name for field in msgspec.structs.fields(BillFaults)}
    assert {"early"} == fields.symmetric_difference(BILL_SHARES)  # early is when a bill is made, and no fault in it


@pytest.mark.parametrize("how", ["fail", "drop", "hang"])
@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_download_that_fails_is_fetched_again(there: Desk, channel: str, how: str) -> None:
    """502, a broken connection, or no answer at all: never half a bill, and the same address may be asked again."""
    there.sell(channel)
    at = await there.found(channel, BillName(kind=BillKind.TRADES, day=DAY))
    assert isinstance(at, BillAt)
    there.sandbox.faults = Faults(**{how: 1.0})
    _, failed = await there.download(channel, at, deadline_s=0.3)
    there.sandbox.faults = Faults()
    _, sent = await there.download(channel, at)
    assert (Retryable, Success) == (type(failed.outcome), type(sent.outcome))


async def test_bill_faults_are_set_while_it_runs(there: Desk) -> None:
    """Through the control API, beside the others; a fault that there is not is refused."""
    url = f"{there.base_url}/sandbox/faults"
    async with aiohttp.ClientSession() as session:
        async with session.put(url, json={"lose": 0.1, "bill": {"missing": 0.2}}) as answer:
            assert (200, 0.2) == (answer.status, (await answer.json())["bill"]["missing"])
        async with session.put(url, json={"bill": {"mising": 0.2}}) as answer:
            assert 400 == answer.status
    assert Faults(lose=0.1, bill=BillFaults(missing=0.2)) == there.sandbox.faults


@pytest.mark.parametrize(
    "target",
    [
        "/downloadBillFile.resource", "/downloadBillFile.resource?fileId=trade.2026-11-22.x",
        "/downloadBillFile.resource?fileId=trade.2026-13-22.1", "/downloadBillFile.resource?fileId=a.b",
    ],
)  # fmt: skip
async def test_an_address_that_nobody_gave_out_has_no_file(there: Desk, target: str) -> None:
    """What is not an address of ours is 404, or over its time; never an error page of the server's own."""
    async with aiohttp.ClientSession() as session, session.get(there.base_url + target) as answer:
        assert answer.status in {403, 404}


async def test_an_interval_that_is_no_day_is_refused(there: Desk) -> None:
    """Stripe's sandbox reports whole past days; today's bill is coming until the day is over."""
    today = BillName(kind=BillKind.TRADES, day=DAY + timedelta(days=1))
    assert isinstance(await there.found("stripe", today), BillComing)


async def test_files_that_do_not_come_stop_no_payment(there: Desk) -> None:
    """However often a download fails, the account's other calls go on."""
    there.sell("wechat")
    name = BillName(kind=BillKind.TRADES, day=DAY)
    at = await there.found("wechat", name)
    assert isinstance(at, BillAt)
    there.sandbox.faults = Faults(fail=1.0)
    failed = [(await there.download("wechat", at))[1].outcome for _ in range(60)]
    there.sandbox.faults = Faults()
    assert {Retryable} == set(map(type, failed))
    assert any("HTTP" not in outcome.why for outcome in failed)  # the downloads' own breaker is open by now
    assert isinstance(await there.found("wechat", name), BillAt)
