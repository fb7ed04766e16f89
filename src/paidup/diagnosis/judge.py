"""Facts → verdict. A paid order has its own words; of any other the first look that sees something says why. Pure."""

from collections.abc import Callable

from paidup.diagnosis.paid import given_back, paid_verdict
from paidup.diagnosis.verdict import Diagnosis, Facts, Said, Value, Verdict
from paidup.money import Money
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.payments.states import State as PaymentState
from paidup.refunds.states import State as RefundState

_CALLS_IN_VAIN = 2


def judge(facts: Facts) -> Verdict:
    """Where this order stands."""
    paid = next((p for p in facts.payments if p.id == facts.order.paid_by), None)
    if paid is not None and paid.paid_at is not None:
        return paid_verdict(facts, paid, paid.paid_at)
    found = next(filter(None, (look(facts) for look in _LOOKS)), None)
    return found or _closing(facts)


# Not paid: the first look that sees something gives the diagnosis ---------------------------------------------------


def _held(facts: Facts) -> Verdict | None:
    held = next((p for p in facts.payments if p.state is PaymentState.HELD), None)
    if held is None:
        return None
    came = Money(held.received_minor, held.received_currency or held.currency)
    values: dict[str, Value] = {"came": came, "agreed": held.money}
    sentence = Said("Not paid: money came, but not as agreed ({came} instead of {agreed}).", values)
    if held.received_minor in (0, held.amount_minor):
        sentence = Said("Not paid: money came, but not as agreed.")
    return Verdict(Diagnosis.HELD, (sentence,), Said("A person decides: take it as it came, or give it back."))


def _stuck(facts: Facts) -> Verdict | None:
    for state, why, _ in facts.waiting:
        if state == "poisoned":
            sentence = Said("Not paid: a callback came, but it could not be applied: {why}.", {"why": why})
            step = Said("Mend the cause, then replay the callback.")
            return Verdict(Diagnosis.CALLBACK_STUCK, (sentence,), step)
    if facts.waiting:
        sentence = Said("Not paid yet: a callback came, and waits: {why}.", {"why": facts.waiting[0][1]})
        return Verdict(Diagnosis.CALLBACK_WAITS, (sentence,), Said("It is weighed again by itself."))
    return None


def _not_started(facts: Facts) -> Verdict | None:
    if facts.payments or facts.order.state is not OrderState.UNPAID:
        return None
    sentence = Said("Not paid: no payment was ever started for this order.")
    step = Said("The customer starts a payment in the shop before {at}.", {"at": facts.order.expires_at})
    return Verdict(Diagnosis.NOT_STARTED, (sentence,), step)


def _unanswered(facts: Facts) -> Verdict | None:
    if not any(c.kind == "unanswered" and c.resolved_at is None for c in facts.cases):
        return None
    sentence = Said("Not paid as far as we know: the channel gave no final answer to any question.")
    step = Said("Look into the channel's own console; its bill of the day will tell, too.")
    return Verdict(Diagnosis.UNANSWERED, (sentence,), step)


def _channel_away(facts: Facts) -> Verdict | None:
    last = [call for call in facts.calls if call.purpose in ("query", "open", "close")][-_CALLS_IN_VAIN:]
    lives = _live(facts)
    if not lives or len(last) < _CALLS_IN_VAIN or any(c.outcome not in ("retryable", "unknown") for c in last):
        return None
    values: dict[str, Value] = {"channel": lives[-1].channel, "why": _in_short(last[-1].why)}
    sentence = Said("Not known: {channel} does not answer our questions ({why}).", values)
    return Verdict(Diagnosis.CHANNEL_AWAY, (sentence,), _asked_next(facts))


def _in_short(why: str) -> str:
    """Without what a parser complains of, which stands in the timeline."""
    head, senseless, _ = why.partition(" makes no sense")
    return f"{head} could not be read" if senseless else why


def _not_opened(facts: Facts) -> Verdict | None:
    lives = _live(facts)
    if not lives or any(p.state is not PaymentState.CREATED for p in lives):
        return None
    values: dict[str, Value] = {"channel": lives[-1].channel}
    sentence = Said("Not paid: {channel} does not know the payment yet; the customer has not begun to pay.", values)
    return Verdict(Diagnosis.NOT_OPENED, (sentence,), _asked_next(facts))


def _declined(facts: Facts) -> Verdict | None:
    """The last attempt that failed, and nothing came of the payment since: who asks a channel afterwards hears only
    that nobody has paid."""
    lives = {p.id for p in _live(facts)}
    news = [d for d in facts.decisions if d.payment_id in lives and d.road in ("callback", "query")]
    tried = max((n for n, d in enumerate(news) if "attempt failed" in d.why), default=None)
    if tried is None or any(d.outcome not in ("repeated", "parked") for d in news[tried + 1 :]):
        return None
    values: dict[str, Value] = {"at": news[tried].decided_at}
    sentence = Said("Not paid: the customer tried at {at}, and the channel declined; another try is possible.", values)
    return Verdict(Diagnosis.DECLINED, (sentence,), _asked_next(facts))


def _not_begun(facts: Facts) -> Verdict | None:
    """Offered and accepted, and unknown to the channel until the customer scans the code or signs in there."""
    lives, answered = _live(facts), [c for c in facts.calls if c.purpose == "query" and c.outcome == "success"]
    if not lives or not answered or not answered[-1].why.startswith("not_found"):
        return None
    values: dict[str, Value] = {"channel": lives[-1].channel, "at": answered[-1].called_at}
    sentence = Said(
        "Not paid: {channel} itself said at {at} that nobody has begun to pay there: no code was scanned.", values
    )
    return Verdict(Diagnosis.NOT_OPENED, (sentence,), _asked_next(facts))


def _not_paid_yet(facts: Facts) -> Verdict | None:
    lives = _live(facts)
    if not lives:
        return None
    asked = [call.called_at for call in facts.calls if call.purpose == "query" and call.outcome == "success"]
    if not asked:
        sentence = Said("Not paid: the payment is open, and the customer has not paid yet.")
    else:
        values: dict[str, Value] = {"channel": lives[-1].channel, "at": asked[-1]}
        sentence = Said("Not paid: {channel} itself said at {at} that nobody has paid.", values)
    return Verdict(Diagnosis.NOT_PAID_YET, (sentence,), _asked_next(facts))


def _closing(facts: Facts) -> Verdict:
    """Money may have come and gone: what was given back, or is on its way, stands behind the first sentence."""
    back = [given_back(r) for r in facts.refunds if r.state is not RefundState.FAILED]
    if facts.order.state is OrderState.CLOSED:
        sentence = Said("Not paid: the order was closed, and nobody can pay it any more.")
        step = Said("If money comes all the same, the shop's policy applies: {policy}.", {"policy": _policy(facts)})
        return Verdict(Diagnosis.CLOSED, (sentence, *back), step)
    if facts.order.state is OrderState.UNPAID:
        sentence = Said("Not paid: every payment that was started is closed at the channel.")
        step = Said("The customer starts a payment in the shop before {at}.", {"at": facts.order.expires_at})
        return Verdict(Diagnosis.CLOSED, (sentence, *back), step)
    sentence = Said("Not paid: the order is being closed; the channel has not confirmed yet.")
    return Verdict(Diagnosis.CLOSING, (sentence, *back), _asked_next(facts))


def _policy(facts: Facts) -> str:
    return "the order is reopened" if facts.order.late_payment == "reopen" else "the money is given back"


def _live(facts: Facts) -> list[Payment]:
    return [p for p in facts.payments if p.state in (PaymentState.CREATED, PaymentState.OPEN)]


def _asked_next(facts: Facts) -> Said:
    if facts.next_at is None:
        return Said("No question is planned; a person may ask the channel now.")
    return Said("The channel is asked again at {at}, by itself.", {"at": facts.next_at})


_LOOKS: tuple[Callable[[Facts], Verdict | None], ...] = (
    _held, _stuck, _unanswered, _not_started, _channel_away, _declined, _not_opened, _not_begun,
    _not_paid_yet,
)  # fmt: skip
