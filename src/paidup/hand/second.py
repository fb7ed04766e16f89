"""Ask a second person to agree to what the first one wants to do about a payment."""

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import Conflict
from paidup.hand.desk import Desk
from paidup.hand.done import Done
from paidup.money import Money
from paidup.payments.payment import Payment
from paidup.people import approvals, audit
from paidup.people.approvals import Approval, new_approval_id
from paidup.people.audit import Actor


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. wanted: what will be done, as it is kept; because: why it takes two; deed, noted, after: how the
    audit calls the asking, what it adds to why, and what it says comes of it."""

    action: str
    payment: Payment
    money: Money
    because: str
    wanted: msgspec.Struct
    why: str
    deed: str
    after: str
    noted: str = ""


async def ask_second(tx: Tx, desk: Desk, actor: Actor, question: Question, key: str) -> Done:
    """Write the request down. The same key asks once.

    Raises NotAllowed for whoever came in by another's link, and Conflict for a key of another request, or of one that
    is decided.
    """
    actor.must_be_themselves()
    payment, now, request = question.payment, desk.now(), msgspec.json.encode(question.wanted).decode()
    new = Approval(
        id=new_approval_id(now), asked_at=now, asked_by=actor.who, action=question.action, key=key, shop=payment.shop,
        order_id=payment.order_id, subject_id=payment.id, amount_minor=question.money.amount_minor,
        currency=question.money.currency, because=question.because, request=request, why=question.why,
    )  # fmt: skip
    asked = await approvals.ask(tx, new)
    if asked.id == new.id:
        await audit.write(
            tx, actor, question.deed, now, shop=payment.shop, subject_id=payment.id, order_id=payment.order_id,
            why=f"{question.why}{question.noted}", before=f"payment {payment.state}", after=question.after,
        )  # fmt: skip
    elif not _is_same(asked.request, request):
        raise Conflict("this key was used for another request; take a fresh key for each new deed")
    elif asked.state != "waiting":
        raise Conflict(f"{asked.decided_by} has decided this already: {asked.state}; to ask anew, take a fresh key")
    return Done("waiting", asked.because, asked.id)


def _is_same(*requests: str) -> bool:
    """Whether they want the same; each may say otherwise why."""
    one, other = ({**msgspec.json.decode(request), "why": ""} for request in requests)
    return one == other
