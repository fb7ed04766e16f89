"""What ties payments, refunds and their order together."""

from itertools import permutations

import msgspec
import pytest

from paidup.evidence import DisputeSays, Evidence, RefundSays, Road
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.orders.states import State as OrderState
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Cause, Refund
from paidup.refunds.states import State as RefundState
from paidup.settle import settle
from paidup.settle.book import (
    AskRefund,
    Book,
    CloseOrder,
    ClosePayment,
    Command,
    NeedPerson,
    Opened,
    RefundDeclined,
    Settled,
    TransactionEnded,
    Weighed,
)
from paidup.testing.builders import (
    a_book,
    a_paid_book,
    a_paid_payment,
    a_payment,
    a_refund,
    after,
    an_order,
    closed,
    dispute_says,
    given_back,
    order_id,
    paid,
    payment_id,
    refund_id,
    refund_says,
    waiting,
)

GIVE_UP = CloseOrder(order_id(), "its time is over")


def run(book: Book, *items: Evidence | Command) -> list[Settled]:
    """Settle one after the other, a minute apart."""
    steps = []
    for n, item in enumerate(items):
        steps.append(settle(book, item, after(300 + 60 * n)))
        book = steps[-1].book
    return steps


def events(steps: list[Settled]) -> list[str]:
    return [event.type for step in steps for event in step.events]


def cases(steps: list[Settled]) -> list[tuple[str, str]]:
    return [(case.kind, case.subject_id) for step in steps for case in step.cases]


def states(book: Book) -> list[str]:
    return [book.order.state, *(p.state for p in book.payments.values()), *(r.state for r in book.refunds.values())]


def two_offers(**order: object) -> Book:
    return a_book(an_order(**order), payments=[a_payment(1), a_payment(2)])


def test_the_first_payment_pays_the_order_and_withdraws_the_other_offers() -> None:
    """Both are announced, and what else the customer could pay is being closed."""
    steps = run(two_offers(), paid(1))
    assert (["paid", "paid", "closing"], ["payment.paid", "order.paid"]) == (states(steps[-1].book), events(steps))


def test_a_second_payment_is_given_back_in_whole_and_linked_to_the_first() -> None:
    """Its refund says which payment paid the order; the order is announced as paid only once."""
    steps = run(two_offers(), paid(1), paid(2))
    refund = next(iter(steps[-1].book.refunds.values()))
    assert (payment_id(2), 1250, Cause.SECOND_PAYMENT, f"the order was paid by {payment_id(1)}") == (
        refund.payment_id,
        refund.amount_minor,
        refund.cause,
        refund.reason,
    )
    assert ["payment.paid", "order.paid", "payment.paid", "refund.requested"] == events(steps)


def test_late_money_reopens_the_order_when_the_shop_welcomes_it() -> None:
    """Reopened first, then paid: whoever listens to either is told the truth in order."""
    steps = run(a_book(), GIVE_UP, closed(), paid())
    assert ["payment.closed", "order.closed", "payment.paid", "order.reopened", "order.paid"] == events(steps)
    assert ["paid", "paid"] == states(steps[-1].book)


def test_late_money_goes_back_when_the_shop_wants_it_so() -> None:
    """The order stays closed, is never announced as paid, and all of the money is on its way back."""
    steps = run(a_book(an_order(late_payment=LatePayment.REFUND)), GIVE_UP, closed(), paid())
    refund = next(iter(steps[-1].book.refunds.values()))
    assert ["payment.closed", "order.closed", "payment.paid", "refund.requested"] == events(steps)
    assert ("closed", Cause.LATE_PAYMENT, 1250) == (steps[-1].book.order.state, refund.cause, refund.amount_minor)


def test_closing_waits_for_the_channels_word_on_each_payment() -> None:
    """Given up is not closed: only when the last offer is confirmed closed, the order is."""
    steps = run(two_offers(), GIVE_UP, closed(1), closed(2))
    assert [
        ["closing", "closing", "closing"],
        ["closing", "closed", "closing"],
        ["closed", "closed", "closed"],
    ] == [states(step.book) for step in steps]
    assert ["payment.closed", "payment.closed", "order.closed"] == events(steps)


def test_an_order_that_was_never_offered_closes_at_once() -> None:
    """There is no channel to ask."""
    book = Book(an_order(), {}, {})
    assert ["order.closed"] == events(run(book, GIVE_UP))


def test_money_between_the_two_phases_of_a_close_pays_the_order() -> None:
    """The channel had not confirmed the close, so nothing is late, whatever the shop's policy."""
    steps = run(a_book(an_order(late_payment=LatePayment.REFUND)), GIVE_UP, paid())
    assert (["paid", "paid"], ["payment.paid", "order.paid"]) == (states(steps[-1].book), events(steps))


def test_closing_one_payment_leaves_the_order_payable() -> None:
    """An expired offer is followed by a new one."""
    close = ClosePayment(order_id(), payment_id(), "its time is over")
    assert ["unpaid", "closed"] == states(run(a_book(), close, closed())[-1].book)


@pytest.mark.parametrize(
    "wrong",
    [{"amount": Money(1, "CNY")}, {"amount": Money(1250, "USD")}, {"payee": "app/stranger"}],
    ids=["amount", "currency", "payee"],
)
@pytest.mark.parametrize("state", [PaymentState.CREATED, PaymentState.OPEN, PaymentState.CLOSING, PaymentState.CLOSED])
def test_money_that_is_not_as_agreed_never_pays(wrong: dict[str, object], state: PaymentState) -> None:
    """The payment is held, the order stays unpaid, the shop and a person are told."""
    steps = run(a_book(payments=[a_payment(state=state)]), paid(**wrong))
    assert ["unpaid", "held"] == states(steps[-1].book)
    assert (["payment.held"], [("mismatch", payment_id())]) == (events(steps), cases(steps))


def test_disputes_end_alike_in_whatever_order_their_news_arrive() -> None:
    """Opened and lost, opened and won: a late opening never undoes the end; the order stays paid throughout."""
    opened = dispute_says(DisputeSays.OPENED)
    ends = {
        (end, tuple(states(run(a_book(), paid(), *order)[-1].book)))
        for end in (DisputeSays.WON, DisputeSays.LOST)
        for order in permutations((opened, opened, dispute_says(end)))
    }
    assert {(DisputeSays.WON, ("paid", "paid")), (DisputeSays.LOST, ("paid", "charged_back"))} == ends


def test_a_dispute_is_announced_and_called_out_and_a_win_is_not_a_second_payment() -> None:
    """payment.paid is said once; the win has its own word."""
    steps = run(a_book(), paid(), dispute_says(DisputeSays.OPENED), dispute_says(DisputeSays.WON))
    assert ["payment.paid", "order.paid", "payment.disputed", "payment.dispute_won"] == events(steps)
    assert [("dispute", payment_id())] == cases(steps)


def test_a_refund_that_comes_back_after_success_gives_the_order_back_its_money() -> None:
    """The order is paid again, the sum is right, the shop and a person are told."""
    succeeded = refund_says(RefundSays.SUCCEEDED)
    failed = refund_says(RefundSays.FAILED, occurred_at=after(900))
    steps = run(a_paid_book(refunds=[a_refund()]), succeeded, failed)
    assert [("refunded", 1250), ("paid", 0)] == [
        (step.book.order.state, step.book.payments[payment_id()].refunded_minor) for step in steps
    ]
    assert ["refund.succeeded", "order.refunded", "refund.failed"] == events(steps)
    assert [("refund_failed", refund_id())] == cases(steps)


def test_a_refund_belongs_to_the_payment_that_its_notice_names() -> None:
    """Two payments of one order may each have a refund "1"; what is said of one is not said of the other."""
    told = [
        refund_says(RefundSays.SUCCEEDED, n, payment=n, merchant_refund_ref="1", channel_refund_id=None) for n in (1, 2)
    ]
    book = a_book(an_order(), payments=[a_paid_payment(1), a_paid_payment(2)])
    steps = run(book, *told)
    assert [("applied", 1250, 0), ("applied", 1250, 1250)] == [
        (step.outcome, *(p.refunded_minor for p in step.book.payments.values())) for step in steps
    ]


def test_partial_refunds_add_up() -> None:
    """The order is refunded when the last part is; what may still be asked for shrinks with each."""
    parts = [a_refund(1, amount_minor=1000), a_refund(2, amount_minor=250)]
    told = [refund_says(RefundSays.SUCCEEDED, n + 1, amount=part.money) for n, part in enumerate(parts)]
    steps = run(a_paid_book(refunds=parts), *told)
    assert [("paid", 1000), ("refunded", 1250)] == [
        (step.book.order.state, step.book.payments[payment_id()].refunded_minor) for step in steps
    ]
    assert a_paid_book().order == steps[0].book.order  # untouched by a part


@pytest.mark.parametrize(
    ("minor", "currency", "outcome"),
    [(250, "CNY", Weighed.APPLIED), (251, "CNY", Weighed.REJECTED), (250, "USD", Weighed.REJECTED)],
)
def test_never_more_is_asked_for_than_is_left(minor: int, currency: str, outcome: Weighed) -> None:
    """Refunds under way count, too: two requests at once cannot give the same money back twice."""
    book = a_paid_book(refunds=[a_refund(1, amount_minor=1000)])
    ask = AskRefund(order_id(), a_refund(2, amount_minor=minor, currency=currency))
    assert outcome is settle(book, ask, after(60)).outcome


@pytest.mark.parametrize("state", [s for s in PaymentState if s is not PaymentState.PAID])
def test_only_a_paid_payment_is_refunded_on_request(state: PaymentState) -> None:
    """A disputed one is not, either: the bank may take the same money."""
    book = a_book(payments=[a_payment(state=state)])
    assert Weighed.REJECTED is settle(book, AskRefund(order_id(), a_refund()), after(60)).outcome


def test_asking_for_the_same_refund_twice_makes_one() -> None:
    """Also when the first has failed: a retry under the same number never becomes a second refund."""
    failed = a_paid_book(refunds=[a_refund(state=RefundState.FAILED)])
    again = settle(failed, AskRefund(order_id(), a_refund()), after(60))
    assert (Weighed.REPEATED, failed) == (again.outcome, again.book)


def test_a_refund_made_in_the_channels_console_is_booked() -> None:
    """We did not ask for it, the money is gone all the same; the same news again books nothing more."""
    told = refund_says(RefundSays.SUCCEEDED, amount=Money(500, "CNY"))
    steps = run(a_paid_book(), told, told)
    refunds = [(r.merchant_ref, r.amount_minor, r.cause, r.state) for r in steps[-1].book.refunds.values()]
    assert [(refund_id(), 500, Cause.AT_CHANNEL, RefundState.SUCCEEDED)] == refunds
    assert [500, 500] == [step.book.payments[payment_id()].refunded_minor for step in steps]


@pytest.mark.parametrize("amount", [None, Money(0, "CNY"), Money(1251, "CNY"), Money(500, "USD")])
def test_a_refund_that_cannot_be_booked_calls_a_person(amount: Money | None) -> None:
    """No amount, more than was paid, or another currency: nothing is guessed, and nothing is lost silently."""
    steps = run(a_paid_book(), refund_says(RefundSays.SUCCEEDED, amount=amount))
    assert (a_paid_book(), [("unknown_refund", payment_id())]) == (steps[-1].book, cases(steps))


ALL = Money(1250, "CNY")


@pytest.mark.parametrize("told", [{"amount": ALL}, {"so_far": ALL, "merchant_refund_ref": None}, {"so_far": ALL}])
def test_money_that_came_and_went_lets_its_order_close(told: dict[str, object]) -> None:
    """The shop hears of payment and refund, and never that the order is paid; the notice of the payment, which comes
    last, changes nothing."""
    news = {"amount": None} | told
    steps = run(two_offers(), GIVE_UP, closed(2), given_back(1), refund_says(RefundSays.SUCCEEDED, **news), paid(1))
    assert ["closed", "paid", "closed", "succeeded"] == states(steps[-1].book)
    assert ["payment.closed", "payment.paid", "order.closed", "refund.succeeded"] == events(steps)
    (refund,) = steps[-1].book.refunds.values()
    assert (1250, Cause.AT_CHANNEL, []) == (refund.amount_minor, refund.cause, cases(steps))
    assert Weighed.REPEATED is steps[-1].outcome


def test_an_order_whose_money_came_and_went_may_be_paid_anew() -> None:
    """Nobody gave the order up: another payment pays it."""
    steps = run(two_offers(), given_back(1), refund_says(RefundSays.SUCCEEDED, so_far=ALL, amount=None), paid(2))
    assert ["paid", "paid", "paid", "succeeded"] == states(steps[-1].book)
    assert ["payment.paid", "refund.succeeded", "payment.paid", "order.paid"] == events(steps)


def test_money_that_went_back_before_it_counted_is_held_when_it_is_not_what_was_agreed() -> None:
    """Of another amount than agreed nothing is booked, whatever became of it: a person is told."""
    news = refund_says(RefundSays.SUCCEEDED, road=Road.QUERY, amount=None, so_far=Money(900, "CNY"))
    steps = run(a_book(), given_back(amount=Money(900, "CNY")), news)
    assert (["unpaid", "held"], ["payment.held"]) == (states(steps[-1].book), events(steps))
    assert [("mismatch", payment_id()), ("contradiction", payment_id())] == cases(steps)


def test_the_sum_of_all_refunds_is_no_single_refund_of_a_payment_that_was_known() -> None:
    """One that could not be booked may be among them: a person is told, and the bill names each."""
    steps = run(a_paid_book(), refund_says(RefundSays.SUCCEEDED, amount=None, so_far=ALL))
    assert (a_paid_book(), [("unknown_refund", payment_id())]) == (steps[-1].book, cases(steps))


def test_a_refund_that_nobody_named_is_one_of_everything() -> None:
    """Alipay wants a number for each part: what bears the payment's own is all of it, as its cancel gives it back; but
    not where a part of it is known to have gone back before."""
    told = refund_says(RefundSays.SUCCEEDED, amount=None, so_far=ALL, merchant_refund_ref=payment_id())
    (step,) = run(a_paid_book(), told)
    assert (1250, []) == (step.book.payments[payment_id()].refunded_minor, cases([step]))
    known = a_paid_book(refunds=[a_refund(1, amount_minor=250, state=RefundState.SUCCEEDED)])
    assert (known, [("unknown_refund", payment_id())]) == (run(known, told)[0].book, cases(run(known, told)))


def test_the_sum_of_refunds_that_are_all_known_tells_nothing_new() -> None:
    """Asked about a payment that we gave back, Alipay names no refund: only that all of it went back."""
    book = a_paid_book(refunds=[a_refund(1, amount_minor=1250)])
    told = refund_says(RefundSays.SUCCEEDED, 1)
    steps = run(book, told, given_back(), refund_says(RefundSays.SUCCEEDED, 9, amount=None, so_far=ALL))
    assert (Weighed.REPEATED, []) == (steps[-1].outcome, cases(steps))
    assert steps[0].book == steps[-1].book


@pytest.mark.parametrize(("road", "outcome"), [(Road.CALLBACK, Weighed.PARKED), (Road.QUERY, Weighed.REJECTED)])
def test_a_refund_that_is_told_too_early_waits_or_calls_a_person(road: Road, outcome: Weighed) -> None:
    """A callback is kept until the payment is known to be paid; an answer is kept nowhere, so a person is told."""
    step = settle(a_book(), refund_says(RefundSays.SUCCEEDED, road=road), after(60))
    assert (outcome, a_book()) == (step.outcome, step.book)
    assert [("contradiction", payment_id())] * (road is Road.QUERY) == cases([step])


def test_a_refund_that_came_back_is_booked_though_all_was_given_back_since() -> None:
    """Made in the channel's console, returned by the bank, and then refunded here: it takes nothing of what is left."""
    book = a_paid_book(refunds=[a_refund(1, amount_minor=1250, state=RefundState.SUCCEEDED)])
    told = refund_says(RefundSays.FAILED, 2, amount=Money(1250, "CNY"), channel_refund_id="re_2")
    steps = run(book, told, told)
    states = [(r.amount_minor, r.cause, r.state) for r in steps[-1].book.refunds.values() if r.id != refund_id(1)]
    assert [(1250, Cause.AT_CHANNEL, RefundState.FAILED)] == states
    assert 1250 == steps[-1].book.payments[payment_id()].refunded_minor
    assert "unknown_refund" not in {kind for kind, _ in cases(steps)}


def test_a_refund_that_nobody_has_is_no_refund() -> None:
    """Unknown here and unknown there: nothing is booked and nobody is called."""
    step = settle(a_paid_book(), refund_says(RefundSays.NOT_FOUND), after(60))
    assert (Weighed.REPEATED, a_paid_book(), ()) == (step.outcome, step.book, step.cases)


def test_more_refunded_than_paid_calls_a_person() -> None:
    """A failed refund was asked for anew, and then both went through: the sum tells the truth."""
    refunds = [a_refund(1, state=RefundState.FAILED), a_refund(2)]
    told = [refund_says(RefundSays.SUCCEEDED, n, channel_refund_id=f"alr{n}") for n in (2, 1)]
    steps = run(a_paid_book(refunds=refunds), *told)
    assert (2500, [("over_refunded", payment_id())]) == (
        steps[-1].book.payments[payment_id()].refunded_minor,
        cases(steps),
    )


def test_a_declined_refund_fails_and_calls_a_person() -> None:
    """The order keeps its money, and says so."""
    steps = run(a_paid_book(refunds=[a_refund()]), RefundDeclined(order_id(), refund_id(), "no balance"))
    assert (["paid", "paid", "failed"], ["refund.failed"]) == (states(steps[-1].book), events(steps))
    assert [("refund_failed", refund_id())] == cases(steps)


def test_a_refund_or_dispute_before_its_payment_waits() -> None:
    """Nothing changes and nothing is announced until the payment is known to be paid."""
    early = [refund_says(RefundSays.SUCCEEDED), dispute_says(DisputeSays.OPENED)]
    assert [(Weighed.PARKED, a_book(), ())] * 2 == [
        (step.outcome, step.book, step.events) for item in early for step in run(a_book(), item)
    ]


def test_evidence_of_another_order_waits() -> None:
    """Neither number is known here; another account's equal number is somebody else's payment."""
    strangers = [paid(7), msgspec.structs.replace(paid(1), account="other")]
    assert [Weighed.PARKED] * 2 == [settle(a_book(), evidence, after(60)).outcome for evidence in strangers]


def test_the_answer_to_an_opening_that_comes_after_the_payment_changes_no_state() -> None:
    """A slow answer must not reopen what a fast callback paid."""
    slow = Opened(order_id(), payment_id(), "ali1", {"code_url": "https://qr.example/x"})
    assert ["paid", "paid"] == states(
        run(a_book(payments=[a_payment(state=PaymentState.CREATED)]), paid(), slow)[1].book
    )


def test_a_person_is_asked_for_by_name() -> None:
    """The case names its subject; the book is left alone."""
    need = NeedPerson(order_id(), payment_id(), "unanswered", "no answer")
    step = settle(a_book(), need, after(60))
    assert (a_book(), [("unanswered", payment_id())]) == (step.book, cases([step]))


EVERYTHING: tuple[Evidence | Command, ...] = (
    waiting(1), closed(2), paid(1), paid(2), paid(1, amount=Money(1, "CNY")), GIVE_UP,
    ClosePayment(order_id(), payment_id(), "withdrawn"), Opened(order_id(), payment_id(), "ali1", {}),
    AskRefund(order_id(), a_refund(amount_minor=300)), refund_says(RefundSays.SUCCEEDED, amount=Money(300, "CNY")),
    refund_says(RefundSays.FAILED, 9, amount=Money(50, "CNY")), dispute_says(DisputeSays.OPENED),
    dispute_says(DisputeSays.LOST), refund_says(RefundSays.NOT_FOUND),
)  # fmt: skip


@pytest.mark.parametrize("start", [two_offers(), a_paid_book(), run(two_offers(), paid(2))[-1].book])
@pytest.mark.parametrize("item", EVERYTHING, ids=lambda item: type(item).__name__)
def test_settling_twice_changes_nothing(start: Book, item: Evidence | Command) -> None:
    """No state, no sum, no event, no time stamp: whatever the item, its repeat is a no-op."""
    once, again = run(start, item, item)
    assert (once.book, ()) == (again.book, again.events)


MORE = (*EVERYTHING, refund_says(RefundSays.SUCCEEDED), refund_says(RefundSays.PENDING))


@pytest.mark.parametrize("start", [two_offers(), a_paid_book(), a_paid_book(refunds=[a_refund()])])
@pytest.mark.parametrize("item", MORE, ids=lambda item: type(item).__name__)
def test_what_changed_bears_the_moment_of_its_change(start: Book, item: Evidence | Command) -> None:
    """And nothing else does: by it, an answer is told from older news."""
    book = settle(start, item, after(5000)).book
    rows = [(start.order, book.order)]
    rows += [(start.payments.get(row.id), row) for row in book.payments.values()]  # type: ignore[misc]
    rows += [(start.refunds.get(row.id), row) for row in book.refunds.values()]  # type: ignore[misc]
    assert [old != new for old, new in rows] == [new.updated_at == after(5000) for _, new in rows]


@pytest.mark.parametrize("state", PaymentState)
def test_an_order_closes_only_when_no_payment_may_pay_it_any_more(state: PaymentState) -> None:
    """One that is being closed, or held, may."""
    may_pay = {PaymentState.CREATED, PaymentState.OPEN, PaymentState.CLOSING, PaymentState.HELD}
    book = a_book(an_order(state=OrderState.CLOSING), payments=[a_payment(1), a_payment(2, state=state)])
    step = settle(book, closed(1), after(60))
    assert ("closing" if state in may_pay else "closed") == step.book.order.state
    assert (state not in may_pay) == ("order.closed" in events([step]))


def test_an_order_whose_offers_are_all_gone_is_not_announced_as_closed() -> None:
    """Nobody gave it up: the customer may start a new payment."""
    steps = run(two_offers(), closed(1), closed(2))
    assert (["unpaid", "closed", "closed"], ["payment.closed"] * 2) == (states(steps[-1].book), events(steps))


def test_money_that_was_given_back_once_is_not_given_back_again() -> None:
    """A refund's number follows from its payment: also when the first one failed, or when some went back before."""
    made = run(two_offers(), paid(1), paid(2))[-1].book
    (refund,) = made.refunds.values()
    for known in (refund, msgspec.structs.replace(refund, state=RefundState.FAILED)):
        book = made.put(a_payment(2), known)
        assert {known.id: known} == settle(book, paid(2), after(60)).book.refunds
    part = a_refund(1, payment_id=payment_id(2), amount_minor=1000)
    book = settle(msgspec.structs.replace(made, refunds={}).put(a_payment(2), part), paid(2), after(60)).book
    assert [1000, 250] == [one.amount_minor for one in book.refunds.values()]
    whole = msgspec.structs.replace(part, amount_minor=1250)
    book = settle(msgspec.structs.replace(made, refunds={}).put(a_payment(2), whole), paid(2), after(60)).book
    assert {whole.id: whole} == book.refunds


def test_a_late_payments_refund_says_that_the_order_was_closed() -> None:
    """Its reason is what the customer may read at the channel."""
    book = run(a_book(an_order(late_payment=LatePayment.REFUND)), GIVE_UP, closed(), paid())[-1].book
    assert ["the order was closed"] == [refund.reason for refund in book.refunds.values()]


def test_a_second_payment_that_went_back_leaves_the_order_paid() -> None:
    """What the first one paid is still here."""
    book = run(two_offers(), paid(1), paid(2))[-1].book
    (refund,) = book.refunds.values()
    step = settle(book, refund_says(RefundSays.SUCCEEDED, payment=2, merchant_refund_ref=refund.id), after(900))
    assert ["paid", "paid", "paid", "succeeded"] == states(step.book)
    assert (["refund.succeeded"], [0, 1250]) == (
        events([step]), [payment.refunded_minor for payment in step.book.payments.values()]
    )  # fmt: skip


@pytest.mark.parametrize(("minor", "is_booked"), [(1, True), (250, True), (251, False)])
def test_a_refund_made_in_the_channels_console_is_no_more_than_what_is_left(minor: int, is_booked: bool) -> None:
    """What went back, and what is on its way, is not left."""
    for state in (RefundState.SUCCEEDED, RefundState.PENDING):
        book = a_paid_book(refunds=[a_refund(1, amount_minor=1000, state=state)])
        step = settle(book, refund_says(RefundSays.SUCCEEDED, 2, amount=Money(minor, "CNY")), after(900))
        assert ([] if is_booked else [("unknown_refund", payment_id())]) == cases([step])
        assert 1 + is_booked == len(step.book.refunds)


@pytest.mark.parametrize("road", [Road.CALLBACK, Road.QUERY])
@pytest.mark.parametrize("minor", [500, 1250])
def test_what_the_channel_gave_back_is_booked_though_all_was_asked_for_here(minor: int, road: Road) -> None:
    """Ours was not sent yet, and the channel refuses it now: a person hears of that unless nothing is left to give."""
    told = refund_says(RefundSays.SUCCEEDED, 2, amount=Money(minor, "CNY"), road=road)
    steps = run(a_paid_book(refunds=[a_refund(1)]), told, RefundDeclined(order_id(), refund_id(1), "too much"))
    assert minor == steps[-1].book.payments[payment_id()].refunded_minor
    assert ["failed", "succeeded"] == states(steps[-1].book)[-2:]
    assert ([] if minor == 1250 else [("refund_failed", refund_id(1))]) == cases(steps)


def test_a_number_that_is_our_word_for_a_cause_leads_to_no_refund_of_ours() -> None:
    """In the channel's console a refund may be given any number. Ours is there still, beside the other one."""
    steps = run(two_offers(), paid(1), paid(2))
    minor = Money(500, "CNY")
    named = refund_says(RefundSays.SUCCEEDED, payment=2, amount=minor, merchant_refund_ref="second_payment")
    book = run(steps[-1].book, named)[-1].book
    assert ["requested", "succeeded"] == sorted(states(book)[3:])
    assert {Cause.SECOND_PAYMENT, Cause.AT_CHANNEL} == {refund.cause for refund in book.refunds.values()}


def test_a_bills_line_may_be_about_the_refund_that_was_asked_for() -> None:
    """By a number of the channel's that we have not learned: it is asked about, and nothing is booked twice."""
    told = refund_says(RefundSays.SUCCEEDED, 2, road=Road.BILL)
    (step,) = run(a_paid_book(refunds=[a_refund(1)]), told)
    assert (["requested"], 0) == (states(step.book)[2:], step.book.payments[payment_id()].refunded_minor)


def test_a_refund_under_way_that_was_made_in_the_channels_console_is_news() -> None:
    """It is followed from now on; told once more, it is not."""
    told = refund_says(RefundSays.PENDING, channel_refund_id=None)
    steps = run(a_paid_book(), told, told)
    assert [Weighed.APPLIED, Weighed.REPEATED] == [step.outcome for step in steps]
    assert ["paid", "paid", "pending"] == states(steps[-1].book)


def test_a_refund_that_bears_no_number_cannot_be_booked() -> None:
    """Told twice, it would be two."""
    nameless = refund_says(RefundSays.SUCCEEDED, merchant_refund_ref=None, channel_refund_id=None)
    assert (a_paid_book(), [("unknown_refund", payment_id())]) == (
        (step := settle(a_paid_book(), nameless, after(900))).book, cases([step])
    )  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ({"merchant_refund_ref": "mine", "channel_refund_id": "theirs"}, "mine"),
        ({"merchant_refund_ref": None, "channel_refund_id": "theirs"}, "theirs"),
        ({"merchant_refund_ref": None, "channel_refund_id": None}, payment_id()),
    ],
)
def test_the_refund_of_everything_bears_the_number_by_which_it_was_told(numbers: dict[str, str], name: str) -> None:
    """Where none was told, there is one refund of the payment, and it bears the payment's."""
    steps = run(a_book(), given_back(), refund_says(RefundSays.SUCCEEDED, amount=None, so_far=ALL, **numbers))
    assert [(name, 1250)] == [(one.merchant_ref, one.amount_minor) for one in steps[-1].book.refunds.values()]


@pytest.mark.parametrize(
    ("said", "booked"),
    [
        ({"amount": Money(500, "CNY"), "so_far": ALL}, [500]),
        ({"amount": None, "so_far": Money(900, "CNY")}, []),
        ({"amount": None, "so_far": Money(1250, "USD")}, []),
        ({"amount": None, "so_far": None}, []),
    ],
)
def test_a_sum_stands_for_one_refund_only_when_it_is_all_that_was_paid(
    said: dict[str, Money | None], booked: list[int]
) -> None:
    """A refund's own amount counts more than the sum; of a part, nobody knows of how many refunds it is."""
    step = run(a_book(), given_back(), refund_says(RefundSays.SUCCEEDED, **said))[-1]
    assert booked == [one.amount_minor for one in step.book.refunds.values()]
    assert ([] if booked else [("unknown_refund", payment_id())]) == cases([step])


@pytest.mark.parametrize(
    ("refund", "so_far"),
    [
        (a_refund(state=RefundState.PENDING), ALL),
        (a_refund(state=RefundState.SUCCEEDED), Money(1250, "USD")),
        (a_refund(state=RefundState.SUCCEEDED, amount_minor=1249), ALL),
    ],
)
def test_a_sum_that_is_more_than_what_went_back_here_calls_a_person(refund: Refund, so_far: Money) -> None:
    """What is on its way has not gone back, and another currency is other money."""
    told = refund_says(RefundSays.SUCCEEDED, 9, amount=None, so_far=so_far)
    assert [("unknown_refund", payment_id())] == cases([settle(a_paid_book(refunds=[refund]), told, after(900))])


def test_a_payment_of_which_a_refund_is_known_is_never_given_back_by_a_sum() -> None:
    """A second payment, whose refund failed: that all of it went back may be another refund, and a person is told."""
    book = run(two_offers(), paid(1), paid(2))[-1].book
    (refund,) = book.refunds.values()
    book = book.put(msgspec.structs.replace(refund, state=RefundState.FAILED))
    told = refund_says(RefundSays.SUCCEEDED, 9, payment=2, amount=None, so_far=ALL)
    step = settle(book, told, after(900))
    assert (book, [("unknown_refund", payment_id(2))]) == (step.book, cases([step]))


@pytest.mark.parametrize(
    "numbers",
    [
        {"merchant_refund_ref": refund_id(), "channel_refund_id": None},
        {"merchant_refund_ref": "named-otherwise", "channel_refund_id": None},
        {"merchant_refund_ref": None, "channel_refund_id": "alr1"},
    ],
)
def test_a_refund_is_found_by_each_of_its_numbers(numbers: dict[str, str]) -> None:
    """Also when its notice names no payment; under another account, the same numbers are another refund's."""
    refund = a_refund(merchant_ref="named-otherwise", channel_refund_id="alr1")
    book = a_paid_book(refunds=[refund, a_refund(2, amount_minor=1)])
    told = refund_says(RefundSays.SUCCEEDED, merchant_ref=None, channel_txn_id=None, **numbers)
    step = settle(book, told, after(900))
    assert (Weighed.APPLIED, ["refunded", "paid", "succeeded", "requested"]) == (step.outcome, states(step.book))
    other = settle(book, msgspec.structs.replace(told, account="other"), after(900))
    assert (Weighed.PARKED, book) == (other.outcome, other.book)


def test_a_refund_without_any_number_is_none_of_ours() -> None:
    """Not even of those whose number at the channel is not known yet."""
    told = refund_says(RefundSays.SUCCEEDED, merchant_refund_ref=None, channel_refund_id=None)
    step = settle(a_paid_book(refunds=[a_refund()]), told, after(900))
    assert ["paid", "paid", "requested"] == states(step.book)


def test_only_an_answer_that_money_went_back_calls_a_person_before_its_payment() -> None:
    """That it is on its way is asked for again."""
    step = settle(a_book(), refund_says(RefundSays.PENDING, road=Road.QUERY), after(60))
    assert (Weighed.PARKED, []) == (step.outcome, cases([step]))


@pytest.mark.parametrize(
    ("number", "way", "kept"),
    [
        ("ali1", {"code": "1"}, ("ali1", {"code": "1"})),
        ("ali2", {"code": "2"}, ("ali1", {"code": "2"})),
        ("ali2", {}, ("ali1", {"code": "1"})),
        (None, {}, ("ali1", {"code": "1"})),
    ],
)
def test_an_opening_tells_how_to_pay_and_under_which_number(
    number: str | None, way: dict[str, str], kept: tuple[str, dict[str, str]]
) -> None:
    """The first number stays, and an answer that tells no way to pay takes none away."""
    first = Opened(order_id(), payment_id(), "ali1", {"code": "1"})
    book = run(a_book(payments=[a_payment(state=PaymentState.CREATED)]), first)[-1].book
    payment = settle(book, Opened(order_id(), payment_id(), number, way), after(900)).book.payments[payment_id()]
    assert (PaymentState.OPEN, kept) == (payment.state, (payment.channel_txn_id, payment.pay_with))


def asked_for(number: int = 1) -> AskRefund:
    return AskRefund(order_id(), a_refund(number))


OF_PAYMENT, OF_REFUND = (payment_id(), None), (payment_id(), refund_id())


@pytest.mark.parametrize(
    ("book", "item", "outcome", "names"),
    [
        (a_book(), paid(), Weighed.APPLIED, OF_PAYMENT),
        (a_book(), paid(amount=Money(1, "CNY")), Weighed.APPLIED, OF_PAYMENT),
        (a_book(payments=[a_payment(state=PaymentState.HELD)]), paid(payee="x"), Weighed.REJECTED, OF_PAYMENT),
        (a_book(), dispute_says(DisputeSays.OPENED), Weighed.PARKED, OF_PAYMENT),
        (a_book(), GIVE_UP, Weighed.APPLIED, (None, None)),
        (a_book(an_order(state=OrderState.CLOSING)), GIVE_UP, Weighed.REPEATED, (None, None)),
        (a_book(an_order(state=OrderState.CLOSED)), GIVE_UP, Weighed.REPEATED, (None, None)),
        (a_paid_book(), GIVE_UP, Weighed.REJECTED, (None, None)),
        (a_book(an_order(state=OrderState.REFUNDED)), GIVE_UP, Weighed.REJECTED, (None, None)),
        (a_paid_book(), asked_for(), Weighed.APPLIED, OF_REFUND),
        (a_paid_book(refunds=[a_refund()]), asked_for(), Weighed.REPEATED, (None, refund_id())),
        (a_paid_book(refunds=[a_refund()]), asked_for(2), Weighed.REJECTED, OF_PAYMENT),
        (a_book(), asked_for(), Weighed.REJECTED, OF_PAYMENT),
        (a_book(), refund_says(RefundSays.SUCCEEDED), Weighed.PARKED, OF_PAYMENT),
        (a_book(), refund_says(RefundSays.SUCCEEDED, road=Road.QUERY), Weighed.REJECTED, OF_PAYMENT),
        (a_paid_book(), refund_says(RefundSays.SUCCEEDED, amount=None), Weighed.REJECTED, OF_PAYMENT),
        (a_paid_book(), refund_says(RefundSays.NOT_FOUND), Weighed.REPEATED, OF_PAYMENT),
        (a_paid_book(), refund_says(RefundSays.SUCCEEDED, amount=None, so_far=Money(0, "CNY")), Weighed.REPEATED,
         OF_PAYMENT),
        (a_paid_book(refunds=[a_refund()]), refund_says(RefundSays.PENDING), Weighed.APPLIED, OF_REFUND),
        (a_paid_book(refunds=[a_refund()]), refund_says(RefundSays.NOT_FOUND, channel_refund_id=None),
         Weighed.REPEATED, OF_REFUND),
        (a_paid_book(refunds=[a_refund()]), refund_says(RefundSays.FAILED), Weighed.APPLIED, OF_REFUND),
        (a_paid_book(refunds=[a_refund()]), refund_says(RefundSays.FAILED, amount=Money(1, "CNY")),
         Weighed.REJECTED, OF_REFUND),
        (a_book(), NeedPerson(order_id(), payment_id(), "k", "w"), Weighed.APPLIED, OF_PAYMENT),
        (a_paid_book(refunds=[a_refund()]), NeedPerson(order_id(), refund_id(), "k", "w"), Weighed.APPLIED,
         (None, refund_id())),
        (a_book(), NeedPerson(order_id(), "gtx1", "k", "w"), Weighed.APPLIED, (None, None)),
    ],
)  # fmt: skip
def test_how_it_fared_and_what_it_is_about_is_told(
    book: Book, item: Evidence | Command, outcome: Weighed, names: tuple[str | None, str | None]
) -> None:
    """By both, people find it in the life of the payment or refund; what is rejected has changed no state."""
    step = settle(book, item, after(900))
    assert (outcome, names) == (step.outcome, (step.payment_id, step.refund_id))


def test_a_refund_is_asked_for_when_it_is_asked_for() -> None:
    """Its age, by which the channel is asked again, begins then."""
    step = settle(a_paid_book(), asked_for(), after(900))
    assert [after(900)] == [refund.created_at for refund in step.book.refunds.values()]


def test_an_event_tells_of_the_order_and_of_the_payment_as_they_are_now() -> None:
    """An order's event is about the order, a payment's about the payment; both name both."""
    paid_event, order_event = settle(a_book(), paid(), after(60)).events
    order = {
        "order_id": order_id(), "shop_order_no": "A-1", "amount_minor": 1250, "currency": "CNY", "order_state": "paid",
    }  # fmt: skip
    payment = {
        "payment_id": payment_id(), "channel": "alipay", "account": "main", "merchant_ref": payment_id(),
        "channel_txn_id": "ali1", "payment_amount_minor": 1250, "payment_state": "paid",
        "paid_at": after(20).isoformat(),
    }  # fmt: skip
    assert (payment_id(), order_id(), "teahouse") == (paid_event.subject_id, paid_event.order_id, paid_event.shop)
    assert (order_id(), order | payment) == (order_event.subject_id, order_event.data)
    assert order | payment | {"order_state": "unpaid"} == paid_event.data
    (_, closed_event) = run(a_book(), GIVE_UP, closed())[-1].events
    assert (order_id(), order | {"order_state": "closed"}) == (closed_event.subject_id, closed_event.data)


@pytest.mark.parametrize(("undone", "kind"), [(True, "transaction.undone"), (False, "transaction.done")])
def test_the_end_of_a_transaction_is_told_and_changes_nothing(undone: bool, kind: str) -> None:
    """The event is about the transaction, of this order."""
    step = settle(a_book(), TransactionEnded(order_id(), "gtx1", "ship", undone, "all agree"), after(60))
    (told,) = step.events
    assert (a_book(), Weighed.APPLIED, "all agree") == (step.book, step.outcome, step.why)
    assert (kind, "teahouse", order_id(), "gtx1") == (told.type, told.shop, told.order_id, told.subject_id)
    assert {
        "order_id": order_id(), "shop_order_no": "A-1", "order_state": "unpaid", "transaction_id": "gtx1",
        "name": "ship", "why": "all agree",
    } == told.data  # fmt: skip
