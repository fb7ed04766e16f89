"""Each fault does what it says, as often as it says, and to the same payments in every run with one seed."""

import pytest

import sandbox_merchant as merchant
from paidup.errors import ConfigError
from paidup.sandbox.buyers import Buyers, visit
from paidup.sandbox.callbacks import Fate, fate_of, held_back_s
from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.ledger import Trade
from paidup.sandbox.wire import News, Notice, flipped
from sandbox_merchant import NOW, after

TRADES = 2000
CHANNELS = ("wechat", "alipay", "stripe")


def news(n: int, *, channel: str = "wechat", forged: bool = False) -> News:
    return News(
        channel=channel, account="main", about=f"order{n}", key=f"notice{n}", kind="TRANSACTION.SUCCESS",
        url="http://127.0.0.1:9/", at=NOW, content=b"{}", forged=forged,
    )  # fmt: skip


def fates(faults: Faults, seed: int = 1, attempt: int = 0) -> list[Fate]:
    dice = Dice(seed)
    return [fate_of(faults, dice, news(n), attempt) for n in range(TRADES)]


@pytest.mark.parametrize(
    ("faults", "befallen"),
    [
        (Faults(lose=0.3), lambda fate: fate.lost),
        (Faults(repeat=0.3), lambda fate: fate.repeated),
        (Faults(corrupt=0.3), lambda fate: fate.corrupt_at is not None),
        (Faults(probe=0.3), lambda fate: fate.probed),
    ],
    ids=["lose", "repeat", "corrupt", "probe"],
)
def test_a_share_of_callbacks_is_befallen(faults: Faults, befallen) -> None:
    """About three in ten, within four standard deviations."""
    hit = sum(map(befallen, fates(faults)))
    assert hit == pytest.approx(0.3 * TRADES, abs=4 * (0.3 * 0.7 * TRADES) ** 0.5)


def test_without_faults_nothing_befalls_anybody() -> None:
    """The sandbox is honest and quick unless ordered otherwise."""
    assert {Fate()} == set(fates(Faults()))
    assert {(0.0, 0.0)} == {held_back_s(Faults(), Dice(1), news(n)) for n in range(100)}


def test_the_same_seed_is_the_same_fate() -> None:
    """Whenever and in whatever order it is asked; another seed is another fate."""
    faults = Faults(lose=0.3, repeat=0.2, corrupt=0.1)
    assert fates(faults, seed=7) == list(
        reversed([fate_of(faults, Dice(7), news(n), 0) for n in reversed(range(TRADES))])
    )
    assert fates(faults, seed=7) != fates(faults, seed=8)


def test_lost_for_good_is_lost_at_every_try() -> None:
    """A payment is silent for ever or not at all; otherwise each try has its own luck."""
    for_good = [[fate.lost for fate in fates(Faults(lose=0.3), attempt=attempt)] for attempt in (0, 1, 5)]
    each = [[fate.lost for fate in fates(Faults(lose=0.3, lose_for_good=False), attempt=n)] for n in (0, 1)]
    assert for_good[0] == for_good[1] == for_good[2]
    assert each[0] != each[1]


def test_a_more_lossy_run_loses_the_same_and_more() -> None:
    """With one seed, what is lost at 10 % is lost at 30 %, too."""
    few, many = ([fate.lost for fate in fates(Faults(lose=share))] for share in (0.1, 0.3))
    assert all(more for less, more in zip(few, many, strict=True) if less)


@pytest.mark.parametrize(("faults", "which"), [(Faults(reorder=0.3), 0), (Faults(delay=0.3, delay_s=60), 1)])
def test_a_share_of_callbacks_is_held_back(faults: Faults, which: int) -> None:
    """Overtaken by at most `reorder_s`; late by `delay_s` on average."""
    waits = [wait for n in range(TRADES) if (wait := held_back_s(faults, Dice(1), news(n))[which])]
    assert len(waits) == pytest.approx(0.3 * TRADES, abs=4 * (0.3 * 0.7 * TRADES) ** 0.5)
    if which:
        assert sum(waits) / len(waits) == pytest.approx(60, rel=0.2)
    else:
        assert max(waits) <= faults.reorder_s


def test_forgeries_have_no_other_faults() -> None:
    """So that a forgery that is lost or corrupted does not pass for one that was refused."""
    faults = Faults(lose=1, repeat=1, corrupt=1, reorder=1, delay=1)
    assert (Fate(), (0.0, 0.0)) == (
        fate_of(faults, Dice(1), news(1, forged=True), 0), held_back_s(faults, Dice(1), news(1, forged=True)),
    )  # fmt: skip


def test_only_wechat_pay_probes() -> None:
    """SIGNTEST is WeChat Pay's."""
    probed = {channel: fate_of(Faults(probe=1), Dice(1), news(1, channel=channel), 0).probed for channel in CHANNELS}
    assert {"wechat": True, "alipay": False, "stripe": False} == probed


def test_corruption_flips_one_bit() -> None:
    """One byte differs by one bit; the headers stay."""
    notice = Notice({"a": "b"}, bytes(range(100)))
    corrupted = flipped(notice, 42)
    differing = [(n, a ^ b) for n, (a, b) in enumerate(zip(notice.body, corrupted.body, strict=True)) if a != b]
    assert ([(42, 1)], notice.headers) == (differing, corrupted.headers)


def test_forgeries_come_before_the_money() -> None:
    """About three in ten trades are claimed paid by a stranger while the ledger says that nobody paid."""
    world = merchant.world(Faults(forge=0.3))
    for n in range(200):
        world.respond(merchant.stripe_open(f"order{n}"), NOW)
    world.advance(after(6))
    assert len(world.news) == pytest.approx(60, abs=4 * (0.3 * 0.7 * 200) ** 0.5)
    assert [True, 0] == [
        all(one.forged for one in world.news), sum(trade.paid_at is not None for trade in world.ledger.page(0, 200)),
    ]  # fmt: skip


def test_the_rate_limit_counts_per_second() -> None:
    """Two per second pass; the third is refused in each channel's own words, the next second is free again."""
    world = merchant.world(Faults(rate_limit_per_s=2))
    asks = (
        merchant.wechat_query("order1"),
        merchant.alipay_ask("alipay.trade.query"),
        merchant.stripe_ask("GET", "/v1/events"),
    )
    told = [[world.respond(ask, NOW) for _ in range(3)] for ask in asks]
    refused = [b"FREQUENCY_LIMITED", b'"40005"', b"rate_limit"]
    assert [[False, False, True]] * 3 == [
        [word in tell.body for tell in tells] for word, tells in zip(refused, told, strict=True)
    ]
    assert b"FREQUENCY_LIMITED" not in world.respond(merchant.wechat_query("order1", now=after(1)), after(1)).body


@pytest.mark.parametrize("wrong", [{"lose": 1.1}, {"forge": -0.1}, {"delay_s": -1.0}])
def test_impossible_faults_are_refused(wrong: dict[str, float]) -> None:
    """A probability lies between 0 and 1, a duration is not negative."""
    with pytest.raises(ConfigError):
        Faults(**wrong)


# Buyers --------------------------------------------------------------------------------------------------------------


def trade(n: int) -> Trade:
    return Trade("wechat", "main", f"order{n}", f"4200{n}", 1250, "CNY", "native", NOW, None)


def test_buyers_pay_after_a_while() -> None:
    """Half of them within the median; the share who pay is as ordered; they scan before they pay."""
    buyers = Buyers(pay=0.8, median_s=25, sigma=1.0)
    visits = [visit(buyers, Dice(1), trade(n)) for n in range(TRADES)]
    payers = sorted(one.pays_s for one in visits if one.pays_s is not None)
    assert len(payers) == pytest.approx(0.8 * TRADES, abs=4 * (0.8 * 0.2 * TRADES) ** 0.5)
    assert payers[len(payers) // 2] == pytest.approx(25, rel=0.15)
    assert max(payers) <= buyers.at_most_s
    assert all(one.scans_s < one.pays_s for one in visits if one.pays_s is not None and one.scans_s is not None)


def test_some_buyers_fail_first() -> None:
    """Their failed attempt is told of by Stripe, and the payment afterwards, too."""
    world = merchant.world(buyers=Buyers(pay=1, fail_first=1))
    world.respond(merchant.stripe_open("order1"), NOW)
    world.advance(after(300))
    assert ["payment_intent.payment_failed", "payment_intent.succeeded"] == [one.kind for one in world.news]


def test_buyers_live_by_the_clock_they_are_given() -> None:
    """At first all are awaited and nobody has paid; in the end the other way round."""
    world = merchant.world(buyers=Buyers(pay=1))
    for n in range(50):
        world.respond(merchant.alipay_open(f"order{n}"), NOW)
    assert (50, 0) == (world.buyers_waiting, len(world.news))
    world.advance(after(300))
    assert (0, 50, None) == (world.buyers_waiting, len(world.news), world.next_at)


def test_two_runs_with_one_seed_are_the_same_run() -> None:
    """Numbers, times of payment and news agree, though the second run opens its trades in another order."""

    def run(order: list[int]) -> dict[str, tuple]:
        world = merchant.world(Faults(forge=0.2), buyers=Buyers())
        for n in order:
            world.respond(merchant.wechat_open(f"order{n}"), NOW)
        world.advance(after(300))
        told = sorted((one.about, one.key, one.at) for one in world.news)
        trades = {one.merchant_ref: (one.number, one.paid_at) for one in world.ledger.page(0, 100)}
        return {ref: (trades[ref], [entry for entry in told if entry[0] == ref]) for ref in trades}

    assert run(list(range(40))) == run(list(reversed(range(40))))


@pytest.mark.parametrize("name", ["delay_s", "reorder_s", "slow_s"])
@pytest.mark.parametrize("seconds", [-1.0, 1e300, float("nan")])
def test_no_callback_is_held_back_longer_than_a_year(name: str, seconds: float) -> None:
    """What no clock can wait for would be a callback that is lost, and counted as under way for ever."""
    with pytest.raises(ConfigError, match="seconds from 0"):
        Faults(**{name: seconds})
