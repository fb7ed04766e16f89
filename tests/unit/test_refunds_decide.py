"""What evidence means for one refund."""

from itertools import permutations

import pytest

from paidup.evidence import RefundEvidence, RefundSays, Road
from paidup.money import Money
from paidup.refunds.decide import decide, happen
from paidup.refunds.refund import Refund
from paidup.refunds.states import Happening, State
from paidup.testing.builders import a_refund, after, refund_says


def at(seconds: float, what: RefundSays) -> RefundEvidence:
    return refund_says(what, occurred_at=after(seconds), received_at=after(seconds + 5))


def told(*history: RefundEvidence, refund: Refund | None = None) -> Refund:
    refund = refund or a_refund()
    for evidence in history:
        refund = decide(refund, evidence).refund
    return refund


def test_success_is_dated_and_numbered_by_the_channel() -> None:
    """When the customer got the money, and under which number, as the channel states it."""
    refund = told(refund_says(RefundSays.SUCCEEDED))
    assert (State.SUCCEEDED, after(120), "alr1") == (refund.state, refund.settled_at, refund.channel_refund_id)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", RefundSays)
def test_deciding_twice_changes_nothing(state: State, what: RefundSays) -> None:
    """In every state, the same evidence again leaves the refund as it is."""
    once = told(refund_says(what), refund=a_refund(state=state))
    assert once == told(refund_says(what), refund=once)


def test_another_amount_changes_nothing_and_calls_a_person() -> None:
    """What was agreed and what is told stand side by side in the sentence."""
    decision = decide(a_refund(), refund_says(RefundSays.SUCCEEDED, amount=Money(1, "CNY")))
    assert (a_refund(), "mismatch", "agreed 12.50 CNY, the channel says 0.01 CNY") == (
        decision.refund,
        decision.move.case,
        decision.why,
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_success_return_and_second_success_the_latest_stands(order: tuple[int, ...]) -> None:
    """The bank sends the money back and a person sends it again: in whatever order the three notices come."""
    history = [at(100, RefundSays.SUCCEEDED), at(200, RefundSays.FAILED), at(300, RefundSays.SUCCEEDED)]
    assert (State.SUCCEEDED, after(300)) == (
        (refund := told(*(history[n] for n in order))).state,
        refund.settled_at,
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_return_outlives_the_older_success(order: tuple[int, ...]) -> None:
    """Pending, then succeeded, then failed: the money is ours again, whatever arrived last."""
    history = [at(50, RefundSays.PENDING), at(100, RefundSays.SUCCEEDED), at(200, RefundSays.FAILED)]
    assert (State.FAILED, after(200)) == ((refund := told(*(history[n] for n in order))).state, refund.settled_at)


@pytest.mark.parametrize("order", list(permutations(range(2))))
def test_in_the_same_second_the_failure_is_the_later_one(order: tuple[int, ...]) -> None:
    """Channels count in seconds, and only what went out can come back; repeats do not turn it over again."""
    history = [at(100, RefundSays.SUCCEEDED), at(100, RefundSays.FAILED)]
    assert State.FAILED is told(*(history[n] for n in order), *history, *history[::-1]).state


@pytest.mark.parametrize("ours_s", [100, 100.9])
def test_our_own_clock_makes_no_failure_older_than_the_second_it_stands_in(ours_s: float) -> None:
    """An answer states no moment, so that of its receipt counts, to the microsecond. The notice that the money came
    back in the same second is cut to whole ones."""
    answered = refund_says(RefundSays.SUCCEEDED, road=Road.QUERY, occurred_at=None, received_at=after(ours_s))
    assert State.FAILED is told(answered, at(100, RefundSays.FAILED)).state
    assert State.SUCCEEDED is told(answered, at(99, RefundSays.FAILED)).state


def test_a_refund_that_failed_after_it_had_succeeded_calls_a_person() -> None:
    """The customer was told that the money is on its way: somebody must send it again."""
    assert "refund_failed" == decide(told(at(100, RefundSays.SUCCEEDED)), at(200, RefundSays.FAILED)).move.case


def test_the_channel_not_having_it_leaves_it_to_be_sent() -> None:
    """Not found before it was ever confirmed: it goes out (again) under the same number."""
    refund = told(refund_says(RefundSays.NOT_FOUND))
    assert (State.REQUESTED, a_refund().merchant_ref) == (refund.state, refund.merchant_ref)


def test_what_the_channel_took_is_on_its_way_and_not_sent_again() -> None:
    """It stays so when the channel does not find it for a moment."""
    history = refund_says(RefundSays.PENDING), refund_says(RefundSays.NOT_FOUND)
    assert [State.PENDING, State.PENDING] == [told(*history[:n]).state for n in (1, 2)]


def test_as_much_in_another_currency_is_another_amount() -> None:
    """12.50 USD are not what the customer was to get."""
    decision = decide(a_refund(), refund_says(RefundSays.SUCCEEDED, amount=Money(1250, "USD")))
    assert (a_refund(), "mismatch") == (decision.refund, decision.move.case)


def test_an_amount_that_is_not_stated_is_no_other_amount() -> None:
    """Alipay's answers and notices state sums over all refunds, and not what one of them was about."""
    decision = decide(a_refund(), refund_says(RefundSays.SUCCEEDED, amount=None))
    assert (State.SUCCEEDED, None) == (decision.refund.state, decision.move.case)


@pytest.mark.parametrize(
    ("settled", "older", "why"),
    [
        (RefundSays.SUCCEEDED, RefundSays.FAILED, "already refunded; this is older news (bank)"),
        (RefundSays.FAILED, RefundSays.SUCCEEDED, "already failed; this is older news (bank)"),
    ],
)
def test_people_read_that_older_news_are_older(settled: RefundSays, older: RefundSays, why: str) -> None:
    """The channel's own words stand beside it, so that nobody takes them for the latest."""
    decision = decide(told(at(200, settled)), refund_says(older, occurred_at=after(100), note="bank"))
    assert (why, None) == (decision.why, decision.move.case)


def test_where_nothing_more_is_known_the_sentence_ends_there() -> None:
    """No empty brackets."""
    assert "the channel refuses it" == happen(a_refund(), Happening.DECLINED).why


def test_declined_ends_a_refund_that_the_channel_never_took() -> None:
    """Its refusal, word for word, is in the sentence for people."""
    decision = happen(a_refund(), Happening.DECLINED, "ACCOUNT_EMPTY: no money left")
    assert (State.FAILED, "the channel refuses it (ACCOUNT_EMPTY: no money left)") == (
        decision.refund.state,
        decision.why,
    )


def test_the_first_number_at_the_channel_stays() -> None:
    """A later notice may bear another one, or none."""
    first = told(refund_says(RefundSays.PENDING, channel_refund_id="one"))
    for number in ("two", None):
        assert (
            "one" == told(refund_says(RefundSays.SUCCEEDED, channel_refund_id=number), refund=first).channel_refund_id
        )


def test_without_a_stated_moment_the_time_of_receipt_stands_in() -> None:
    """An answer may not say when; a repeat that does not say it either makes nothing later."""
    unstated = refund_says(RefundSays.SUCCEEDED, occurred_at=None, received_at=after(130))
    again = refund_says(RefundSays.SUCCEEDED, occurred_at=None, received_at=after(900))
    assert [after(130), after(130)] == [told(unstated).settled_at, told(unstated, again).settled_at]


def test_news_without_a_moment_is_as_new_as_it_comes() -> None:
    """A failure that does not say when it happened is not older than the success."""
    assert State.FAILED is told(at(100, RefundSays.SUCCEEDED), at(200, RefundSays.FAILED), refund=None).state
    unstated = refund_says(RefundSays.FAILED, occurred_at=None, received_at=after(900))
    assert (State.FAILED, after(900)) == (
        (refund := told(at(100, RefundSays.SUCCEEDED), unstated)).state, refund.settled_at
    )  # fmt: skip


def test_a_repeat_that_happened_later_dates_it_later_and_an_older_one_changes_nothing() -> None:
    """A failure from between the two is then the older news."""
    history = at(100, RefundSays.SUCCEEDED), at(300, RefundSays.SUCCEEDED), at(200, RefundSays.FAILED)
    assert (State.SUCCEEDED, after(300)) == ((refund := told(*history)).state, refund.settled_at)
    assert refund == told(at(100, RefundSays.SUCCEEDED), refund=refund)


def test_what_does_not_settle_it_does_not_date_it() -> None:
    """On its way, it has no moment."""
    assert told(refund_says(RefundSays.PENDING)).settled_at is None
