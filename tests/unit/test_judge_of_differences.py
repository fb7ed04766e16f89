"""What a bill and our books differ in, and in how much money: one claim for each way in which they may."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from paidup.channels.bill import ON_ITS_WAY
from paidup.reconcile.breaks import Found, Kind, OurSide
from paidup.reconcile.judge import judge
from paidup.reconcile.known import Day, Earlier, Judged, Known
from paidup.reconcile.match import Line, Matched
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import State

BEGINS = datetime(2026, 11, 24, tzinfo=UTC)
NOON = BEGINS + timedelta(hours=12)
WAITS = BEGINS + timedelta(days=3)
ARRIVES = BEGINS + timedelta(days=10)
RULES = Rules()

Pair = tuple[Line | None, str | None]


def line(amount: int = 1000, kind: str = "payment", number: int = 1, n: int = 1, **fields: Any) -> Line:
    """A line about payment 1, or about the refund of it that bears this number."""
    of_refund = kind.startswith("refund")
    one = Line(
        n, kind, kind, "CNY", amount, 0, amount, int(NOON.timestamp()),
        "txn1" if of_refund else f"txn{number}", "pay1" if of_refund else f"pay{number}",
        f"rid{number}" if of_refund else None, f"ref{number}" if of_refund else None,
    )  # fmt: skip
    return msgspec.structs.replace(one, **fields)


def pay(amount: int = 1000, number: int = 1, **fields: Any) -> OurSide:
    one = OurSide(
        payment_id=f"pay{number}", order_id="ord1", shop="s", state="paid", currency="CNY", amount_minor=amount,
        at=NOON, channel_txn_id=f"txn{number}", merchant_ref=f"pay{number}", shop_order_no="A-1", changed_at=NOON,
    )  # fmt: skip
    return msgspec.structs.replace(one, **fields)


def ref(amount: int = 500, number: int = 1, **fields: Any) -> OurSide:
    one = msgspec.structs.replace(
        pay(amount), state="succeeded", refund_id=f"ref{number}", channel_refund_id=f"rid{number}",
        merchant_refund_ref=f"ref{number}",
    )  # fmt: skip
    return msgspec.structs.replace(one, **fields)


def judged(
    *ours: OurSide, payments: Sequence[Pair] = (), refunds: Sequence[Pair] = (), others: Sequence[Line] = (),
    rules: Rules = RULES, **known: Any,
) -> Judged:  # fmt: skip
    """The day's bill and our books, which have all of these, differ in no more than is named."""
    payments_of_ours = [one for one in ours if not one.refund_id]
    numbers = {str(name): one for one in payments_of_ours for name in (one.channel_txn_id, one.payment_id)}
    return judge(
        Matched(payments=list(payments), refunds=list(refunds), others=list(others), sums=[]),
        Known(
            by_number=numbers,
            by_id={one.subject_id: one for one in ours},
            refunds=[one for one in ours if one.refund_id],
            **known,
        ),
        Day(bill_id="bil1", begins_at=BEGINS, ends_at=BEGINS + timedelta(days=1), rules=rules),
    )


def the(said: Judged) -> Found:
    """The only break, while nothing agrees."""
    (found,) = said.breaks
    assert [] == said.agreed
    return found


def brief(found: Found) -> tuple[Kind, str, State, int | None, int | None]:
    return found.kind, found.key, found.state, found.bill_minor, found.ours_minor


@pytest.mark.parametrize(
    ("said", "books", "kind", "ours_minor"),
    [
        (line(1001), pay(), Kind.AMOUNT, 1000),
        (line(currency="USD"), pay(), Kind.CURRENCY, 0),
        (line(999), pay(currency="USD"), Kind.CURRENCY, 0),
    ],
)
def test_both_have_a_payment_and_its_money_differs(said: Line, books: OurSide, kind: Kind, ours_minor: int) -> None:
    """To the minor unit; of another currency we have nothing. Its fee is not judged then."""
    found = the(judged(books, payments=[(said, "pay1")], rules=Rules(fee_ppm=500_000)))
    assert (kind, "payment:pay1", State.OPEN, said.amount, ours_minor) == brief(found)
    assert (said.currency, 1, books, None) == (
        found.currency,
        found.line and found.line.line,
        found.ours,
        found.wait_until,
    )


def test_both_have_a_refund_and_its_money_differs() -> None:
    """What goes is counted below nought on both sides."""
    found = the(judged(ref(), refunds=[(line(-499, "refund"), "ref1")]))
    assert (Kind.AMOUNT, "refund:ref1", State.OPEN, -499, -500) == brief(found)


def test_what_differs_by_no_more_than_is_tolerated_agrees() -> None:
    """In that currency."""
    rules = Rules(tolerance_minor={"CNY": 1})
    assert [1, 0] == [
        len(judged(pay(), payments=[(line(amount), "pay1")], rules=rules).agreed) for amount in (1001, 1002)
    ]


@pytest.mark.parametrize(("fee", "differs"), [(4, True), (5, False), (6, False), (7, False), (8, True)])
def test_a_fee_differs_when_it_is_further_from_the_agreed_one_than_rounding(fee: int, differs: bool) -> None:
    """6 per mille of 10.00 are 0.06; where no fee is agreed, none is judged."""
    said = judged(pay(), payments=[(line(fee=fee), "pay1")], rules=Rules(fee_ppm=6000))
    assert ([(Kind.FEE, "fee:pay1", State.OPEN, fee, 6)] if differs else []) == [brief(one) for one in said.breaks]
    assert (not differs, 1) == (bool(said.agreed), len(judged(pay(), payments=[(line(fee=fee), "pay1")]).agreed))


@pytest.mark.parametrize(
    ("amounts", "agreed", "extra", "other"),
    [
        ((1000, 1000), [1000], [1000], []),
        ((400, 1000), [1000], [400], []),
        ((1000, 1, 2), [1000], [1, 2], []),
        ((400, 500), [], [500], [400]),
        ((400, 600), [400, 600], [], []),
        ((400, 300, 300), [300, 300, 400], [], []),
    ],
)
def test_several_lines_of_one_payment_are_its_parts_or_one_too_many(
    amounts: tuple[int, ...], agreed: list[int], extra: list[int], other: list[int]
) -> None:
    """Parts make up the whole; else the one that fits is it, or the first when none does. What is one too many is money
    that our books do not have."""
    said = judged(pay(), payments=[(line(amount, n=n), "pay1") for n, amount in enumerate(amounts)])
    assert agreed == sorted(one.line.amount for one in said.agreed)
    assert {len(agreed) > 1} >= {one.in_group for one in said.agreed}
    twice = [one for one in said.breaks if one.kind is Kind.DUPLICATE]
    assert [(minor, 0, State.OPEN) for minor in extra] == [(one.bill_minor, one.ours_minor, one.state) for one in twice]
    assert ["twice:payment:pay1", "twice:payment:pay1#2"][: len(extra)] == [one.key for one in twice]
    assert other == [one.bill_minor for one in said.breaks if one.kind is Kind.AMOUNT]


def test_parts_in_another_currency_make_up_nothing() -> None:
    """Their sum is no sum."""
    said = judged(pay(), payments=[(line(400), "pay1"), (line(600, currency="USD", n=2), "pay1")])
    assert {Kind.AMOUNT, Kind.DUPLICATE} == {one.kind for one in said.breaks}


def test_money_that_nobody_knows_is_a_long_and_names_whose_it_may_be() -> None:
    """Of each number once: told twice, it is one too many; of lines without a number, each."""
    near = pay(number=7)
    said = judged(payments=[(line(), None), (line(n=2), None)], suggestions={1: near, 2: near})
    assert [
        (Kind.LONG, "payment:txn1", State.OPEN, 1000, None),
        (Kind.DUPLICATE, "twice:payment:txn1", State.OPEN, 1000, 0),
    ] == [brief(one) for one in said.breaks]
    assert {near} == {one.suggestion for one in said.breaks}
    nameless = judged(payments=[(line(txn=None, ref=None, n=n), None) for n in (1, 2)])
    assert [Kind.LONG] * 2 == [one.kind for one in nameless.breaks]
    two = judged(payments=[(line(txn=f"t{n}", n=n), None) for n in (1, 2)])
    assert ["payment:t1", "payment:t2"] == [one.key for one in two.breaks]
    assert Kind.LONG is the(judged(payments=[(line(3), None)], rules=Rules(tolerance_minor={"CNY": 5}))).kind
    by_ref = judged(payments=[(line(txn=None, n=n), None) for n in (1, 2)])
    assert ["payment:pay1", "twice:payment:pay1"] == [one.key for one in by_ref.breaks]


@pytest.mark.parametrize(
    ("state", "amount", "told"),
    [
        ("open", 1000, (Kind.LONG, "payment:pay1", State.WAITING, 1000, 0)),
        ("closed", 900, (Kind.LONG, "payment:pay1", State.WAITING, 900, 0)),
        ("held", 1000, (Kind.STATUS, "payment:pay1", State.OPEN, 1000, 1000)),
        ("held", 900, (Kind.AMOUNT, "payment:pay1", State.OPEN, 900, 1000)),
    ],
)
def test_money_of_a_payment_that_is_not_paid_here(state: str, amount: int, told: tuple[object, ...]) -> None:
    """The channel can be asked about it, so it waits for the answer; what is held waits for a person."""
    found = the(judged(pay(state=state), payments=[(line(amount), None)], suggestions={1: pay(number=7)}))
    assert told == brief(found)
    assert (WAITS if found.state is State.WAITING else None, None) == (found.wait_until, found.suggestion)


@pytest.mark.parametrize("ours", [pay(), ref()], ids=["payment", "refund"])
@pytest.mark.parametrize(
    ("at", "kind"),
    [
        (NOON, Kind.SHORT),
        (BEGINS + timedelta(minutes=30), Kind.SHORT),
        (BEGINS + timedelta(minutes=29), Kind.WRONG_DAY),
        (BEGINS + timedelta(hours=23, minutes=30), Kind.WRONG_DAY),
    ],
)
def test_what_only_our_books_have_is_a_short_or_of_another_day(ours: OurSide, at: datetime, kind: Kind) -> None:
    """Both wait for the bills of other days."""
    ours = msgspec.structs.replace(ours, at=at)
    what = "refund" if ours.refund_id else "payment"
    found = the(judged(ours, **{f"{what}s": [(None, ours.subject_id)]}))  # type: ignore[arg-type]
    signed = -500 if ours.refund_id else 1000
    assert (kind, f"{what}:{ours.subject_id}", State.WAITING, None, signed) == brief(found)
    assert (what, ours, None, WAITS) == (found.what, found.ours, found.line, found.wait_until)


@pytest.mark.parametrize(("bill_minor", "apart"), [(1000, {}), (999, {"brk1": (Kind.AMOUNT, 1000)}), (None, {})])
def test_what_another_days_bill_has_is_missing_no_more(bill_minor: int | None, apart: dict[str, object]) -> None:
    """That day's break is over; where it is over other money, it is told in what it differs. A break of our own side is
    no line."""
    earlier = [Earlier("brk1", "pay1", "bill", BEGINS.date(), "CNY", bill_minor)]
    said = judged(pay(), payments=[(None, "pay1")], earlier={"pay1": earlier})
    assert ([], ["brk1"]) == (said.breaks, said.cleared)
    assert apart == {name: (one.kind, one.ours_minor) for name, one in said.apart.items()}
    ours = judged(pay(), payments=[(None, "pay1")], earlier={"pay1": [Earlier("b", "pay1", "ours", BEGINS.date())]})
    assert ([Kind.SHORT], []) == ([one.kind for one in ours.breaks], ours.cleared)


@pytest.mark.parametrize("number", ["ord1", "A-1"])
def test_an_orders_payments_may_be_one_line_under_the_orders_number(number: str) -> None:
    """Its amount is that of all of them; another one is money that nobody knows, and they are missing."""
    books, left = (pay(), pay(500, 2)), [(None, "pay1"), (None, "pay2")]
    whole = judged(*books, payments=[(line(1500, txn="t", ref=number), None), *left])
    assert ([], [True]) == (whole.breaks, [one.in_group for one in whole.agreed])
    off = judged(*books, payments=[(line(1499, txn="t", ref=number), None), *left])
    assert ([Kind.LONG, Kind.SHORT, Kind.SHORT], []) == (sorted(one.kind for one in off.breaks), off.agreed)
    twice = judged(*books, payments=[*((line(1500, txn=f"t{n}", ref=number, n=n), None) for n in (1, 2)), *left])
    assert ([Kind.LONG], 1) == ([one.kind for one in twice.breaks], len(twice.agreed))
    other = judged(*books, payments=[(line(1500, txn="t", ref=None), None), *left])
    assert [Kind.LONG, Kind.SHORT, Kind.SHORT] == sorted(one.kind for one in other.breaks)


def test_refunds_of_one_payment_may_be_booked_together() -> None:
    """In one line or in several; where the sums differ, each side tells of its own."""
    books, left = (pay(), ref(500), ref(200, 2)), [(None, "ref1"), (None, "ref2")]
    for amounts in ((-700,), (-400, -300)):
        lines = [(line(amount, "refund", 10 + n, n=n), None) for n, amount in enumerate(amounts)]
        whole = judged(*books, refunds=[*lines, *left])
        assert ([], [True] * len(amounts)) == (whole.breaks, [one.in_group for one in whole.agreed])
    off = judged(*books, refunds=[(line(-701, "refund", 10), None), *left])
    assert [Kind.REFUND_UNKNOWN, Kind.SHORT, Kind.SHORT] == sorted(one.kind for one in off.breaks)
    stranger = judged(*books, refunds=[(line(-700, "refund", 10, txn="t", ref="r"), None), *left])
    assert [Kind.REFUND_WITHOUT_PAYMENT, Kind.SHORT, Kind.SHORT] == sorted(one.kind for one in stranger.breaks)


@pytest.mark.parametrize(
    ("state", "word", "until"),
    [
        ("pending", "refund", ARRIVES),
        ("requested", "refund", WAITS),
        ("requested", "refund" + ON_ITS_WAY, ARRIVES),
        ("failed", "refund" + ON_ITS_WAY, WAITS),
    ],
)
def test_a_refund_that_has_not_succeeded_here_waits_for_its_arrival(state: str, word: str, until: datetime) -> None:
    """A bank takes some working days; what failed here is on no way."""
    found = the(judged(pay(), ref(state=state), refunds=[(line(-500, "refund", word=word), None)]))
    assert (Kind.STATUS, "refund:ref1", State.WAITING, -500, 0) == brief(found)
    assert until == found.wait_until


@pytest.mark.parametrize(
    ("books", "told"),
    [
        ((), (Kind.REFUND_WITHOUT_PAYMENT, "refund:rid1", State.OPEN, -500, 0)),
        ((pay(state="open"),), (Kind.REFUND_WITHOUT_PAYMENT, "refund:rid1", State.OPEN, -500, 0)),
        ((pay(),), (Kind.REFUND_UNKNOWN, "refund:rid1", State.WAITING, -500, 0)),
        ((pay(state="disputed"),), (Kind.REFUND_UNKNOWN, "refund:rid1", State.WAITING, -500, 0)),
    ],
)
def test_a_refund_that_nobody_asked_for_here(books: tuple[OurSide, ...], told: tuple[object, ...]) -> None:
    """Of a payment that is paid here, the channel can be asked about it."""
    assert told == brief(the(judged(*books, refunds=[(line(-500, "refund"), None)])))


def test_a_refund_that_the_bill_has_twice_is_one_too_many() -> None:
    """Under its number at the channel, else under the merchant's; without either, each line is one."""
    for fields in ({}, {"rid": None}):
        said = judged(pay(), refunds=[(line(-500, "refund", n=n, **fields), None) for n in (1, 2)])
        assert [(Kind.REFUND_UNKNOWN, -500), (Kind.DUPLICATE, -500)] == [(o.kind, o.bill_minor) for o in said.breaks]
    nameless = judged(pay(), refunds=[(line(-500, "refund", n=n, rid=None, rref=None), None) for n in (1, 2)])
    assert [Kind.REFUND_UNKNOWN] * 2 == [one.kind for one in nameless.breaks]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (line(499, "refund_failed"), (Kind.AMOUNT, "refund_failed:ref1", State.OPEN, 499, 500)),
        (line(500, "refund_failed", currency="USD"), (Kind.AMOUNT, "refund_failed:ref1", State.OPEN, 500, 500)),
        (line(500, "refund_failed", 9), (Kind.STATUS, "refund_failed:rid9", State.WAITING, 500, 0)),
        (line(-1000, "dispute"), (Kind.STATUS, "dispute:pay1", State.WAITING, -1000, 0)),
        (line(-1000, "dispute", 9), (Kind.STATUS, "dispute:txn9", State.WAITING, -1000, 0)),
        (line(7, "unknown", 9, word="levy"), (Kind.UNKNOWN_LINE, "unknown:levy:txn9", State.OPEN, 7, None)),
    ],
)
def test_other_lines_must_stand_here_too(said: Line, told: tuple[object, ...]) -> None:
    """A refund that came back, whole; a dispute of a payment that is disputed; and what nobody knows is for people."""
    assert told == brief(the(judged(pay(), ref(state="failed"), others=[said])))


@pytest.mark.parametrize("state", ["disputed", "charged_back"])
def test_a_dispute_that_is_known_here_agrees(state: str) -> None:
    """Whether the bank only asks for the money or has taken it."""
    assert 1 == len(judged(pay(state=state), others=[line(-1000, "dispute")]).agreed)


def test_other_lines_that_the_bill_has_twice_are_one_too_many() -> None:
    """Of the same kind and number; lines of an unknown kind may be many."""
    back = judged(pay(), ref(state="failed"), others=[line(500, "refund_failed", n=n) for n in (1, 2)])
    assert ([(Kind.DUPLICATE, "twice:refund_failed:ref1")], 1) == (
        [(one.kind, one.key) for one in back.breaks],
        len(back.agreed),
    )
    both = judged(pay(), ref(state="failed"), others=[line(500, kind) for kind in ("refund_failed", "refund_undone")])
    assert ([], 2) == (both.breaks, len(both.agreed))
    unknown = judged(others=[line(7, "unknown", n=n) for n in (1, 2)])
    assert [Kind.UNKNOWN_LINE] * 2 == [one.kind for one in unknown.breaks]
    apart = judged(pay(state="disputed"), pay(number=2, state="disputed"), others=[
        line(-1000, "dispute", n=1), line(-1000, "dispute", 2, n=2), line(-1000, "dispute", n=3, txn=None, ref="pay1"),
    ])  # fmt: skip
    assert ([], 3) == (apart.breaks, len(apart.agreed))


def test_a_dispute_that_the_bill_has_twice_is_one_too_many() -> None:
    """The bank takes money back once; of two that bear no number nobody can say that they are one."""
    twice = judged(pay(state="disputed"), others=[line(-1000, "dispute", n=n) for n in (1, 2)])
    assert ([Kind.DUPLICATE], 1) == ([one.kind for one in twice.breaks], len(twice.agreed))
    bare = judged(others=[line(-1000, "dispute", n=n, txn=None, ref=None) for n in (1, 2)])
    assert [Kind.STATUS] * 2 == [one.kind for one in bare.breaks]


def test_of_two_refunds_that_one_name_may_mean_the_one_of_its_money_came_back() -> None:
    """The bill names the payment by its order, and two payments of the order have a refund "1" each."""
    some = tuple(
        ref(amount, n, state="failed", payment_id=f"pay{n}", merchant_ref=f"pay{n}", channel_txn_id=f"txn{n}",
            merchant_refund_ref="1")
        for n, amount in ((1, 500), (2, 300))
    )  # fmt: skip
    for ours in (some, some[::-1]):
        said = judged(*ours, others=[line(300, "refund_failed", txn=None, ref="A-1", rid=None, rref="1")])
        assert ([], [300]) == (said.breaks, [one.ours_minor for one in said.agreed])
        left = judged(*ours, others=[line(-300, "refund_undone", txn=None, ref="A-1", rid=None, rref="1")])
        assert ([], 1) == (left.breaks, len(left.agreed))


def test_a_dispute_that_was_won_wins_no_other() -> None:
    """Although their lines bear the channel's number only, and neither bears ours."""
    said = judged(pay(), pay(number=2), others=[
        line(-1000, "dispute", n=1, ref=None), line(1000, "dispute_won", n=2, ref=None),
        line(-1000, "dispute", 2, n=3, ref=None),
    ])  # fmt: skip
    assert [(Kind.STATUS, "dispute:pay2")] == [(one.kind, one.key) for one in said.breaks]
    assert ["dispute", "dispute_won"] == [one.line.kind for one in said.agreed]


def test_what_stands_in_the_bill_is_named_by_what_happened() -> None:
    """Came back, or never arrived: people ask the channel one thing or the other."""
    words = [the(judged(pay(), ref(), others=[line(500, kind)])).why for kind in ("refund_failed", "refund_undone")]
    assert ["rid1 came back, and is succeeded here", "rid1 did not reach the customer, and is succeeded here"] == words
    assert the(judged(others=[line(500, "refund_failed", 9)])).why.endswith("and is not known here")


def test_of_a_refund_that_is_a_day_late_no_fee_is_judged() -> None:
    """What a channel gives back of its fee is agreed with nobody."""
    ours, day = ref(at=BEGINS - timedelta(minutes=1)), BEGINS.date() - timedelta(days=1)
    said = judged(
        ours, refunds=[(line(-500, "refund", fee=-99), None)], rules=Rules(fee_ppm=6000), days={"ref1": day},
        earlier={"ref1": [Earlier("brk1", "ref1", "ours", day)]},
    )  # fmt: skip
    assert ([], ["brk1"], 1) == (said.breaks, said.cleared, len(said.agreed))


@pytest.mark.parametrize(
    ("at", "kind"),
    [
        (None, Kind.DUPLICATE),
        (BEGINS, Kind.DUPLICATE),
        (BEGINS - timedelta(seconds=1), Kind.WRONG_DAY),
        (BEGINS + timedelta(days=1), Kind.WRONG_DAY),
    ],
)
def test_a_line_of_a_payment_that_has_its_own_is_one_too_many(at: datetime | None, kind: Kind) -> None:
    """It is of this day, and was laid beside its line; of another day, that day is waited for."""
    days = {"pay1": at.date()} if at else {}
    said = judged(pay(at=at), payments=[(line(), None)], days=days)
    assert [(kind, 0)] == [(one.kind, one.ours_minor) for one in said.breaks]


def test_what_another_day_cleared_waits_for_it_again_unless_its_money_differs_now() -> None:
    """The other day was read with it; what this bill says may have been corrected since."""
    at = BEGINS + timedelta(hours=30)
    rest: dict[str, Any] = {
        "days": {"pay1": at.date()}, "read": {at.date(): at + timedelta(days=1)},
        "cleared_here": frozenset({"payment:pay1"}),
    }  # fmt: skip
    found = the(judged(pay(at=at), payments=[(line(), None)], **rest))
    assert (Kind.WRONG_DAY, "payment:pay1", State.WAITING, 1000, 0) == brief(found)
    assert at + timedelta(days=3) == found.wait_until
    other = the(judged(pay(at=at), payments=[(line(999), None)], **rest))
    assert (Kind.AMOUNT, "payment:pay1", State.OPEN, 999, 1000) == brief(other)


@pytest.mark.parametrize(
    ("pairs", "ours", "what", "word"),
    [
        ({"payments": [(None, "pay1")]}, pay(), "payment", "paid"),
        ({"refunds": [(None, "ref1")]}, ref(), "refund", "refunded"),
    ],
)
def test_what_the_bill_lacks_is_named_for_what_it_is(
    pairs: dict[str, Sequence[Pair]], ours: OurSide, what: str, word: str
) -> None:
    """A payment was paid, and a refund was refunded: whoever looks knows where to ask."""
    (found,) = judged(ours, **pairs).breaks
    assert (what, f"{what}:{ours.subject_id}", Kind.SHORT) == (found.what, found.key, found.kind)
    assert found.why.startswith(f"{word} here at {NOON:%Y-%m-%d %H:%M:%S} UTC, and not in the bill")
