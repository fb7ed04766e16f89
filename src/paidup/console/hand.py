"""By hand on an order: query now, confirm, refund, release, close, re-send."""

from msgspec.structs import replace
from starlette.responses import Response

from paidup.console.deed import Deed, Field, actor, after, reason, show
from paidup.console.gate import Visit
from paidup.diagnosis.verdict import Said
from paidup.errors import NotFound
from paidup.hand import confirm as confirming
from paidup.hand import deeds
from paidup.hand import refund as refunding
from paidup.hand import release as releasing
from paidup.hand.confirm import Confirm
from paidup.hand.desk import the_payment
from paidup.hand.query import query_now
from paidup.hand.refund import GiveBack
from paidup.hand.release import Release
from paidup.money import from_major, major
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.settle.book import Verdict

_SAME_DOOR = Said("The answer is applied through the same door as a callback; asking alone changes nothing.")
_TOLD = Said("The shop is told, as always.")


async def query_page(visit: Visit) -> Response:
    """Before asking."""
    payment = await _payment(visit)
    ask = Said("{channel} is asked now what became of this payment.", {"channel": payment.channel})
    deed = Deed(
        title="Query now", path=f"/payments/{payment.id}/query", back=_back(payment), about=payment.id,
        will=[ask, _SAME_DOOR], button="Ask the channel",
    )  # fmt: skip
    return await _show(visit, payment, deed)


async def query(visit: Visit) -> Response:
    """Ask."""
    asked = await query_now(visit.context.desk, actor(visit), visit.request.path_params["payment_id"])
    visit.context.wake()
    changed = asked.before.state != asked.after.state
    return after(visit, _back(asked.after), "changed" if changed else "asked_nothing_new")


async def confirm_page(visit: Visit) -> Response:
    """What was read in the channel's own console."""
    payment = await _payment(visit)
    fields = [
        Field(title="The channel's number", name="txn", hint="As the channel's own console shows it.",
              value=payment.channel_txn_id or ""),
        Field(title="Amount that was paid", name="amount", kind="number", value=major(payment.money),
              hint=payment.currency),
        reason(),
    ]  # fmt: skip
    will = [Said("{channel} is asked first; nothing is confirmed yet.", {"channel": payment.channel})]
    deed = Deed(
        title="Confirm a payment", path=f"/payments/{payment.id}/confirm", back=_back(payment), about=payment.id,
        will=will, fields=fields, button="Ask the channel, then show what will happen", step="preview",
    )  # fmt: skip
    return await _show(visit, payment, deed)


async def confirm(visit: Visit) -> Response:
    """Show what will happen; or do it."""
    payment = await _payment(visit)
    money = from_major(visit.form.needed("amount", "the amount that was paid"), payment.currency)
    wanted = Confirm(
        payment_id=payment.id,
        channel_txn_id=visit.form.needed("txn", "the channel's number"),
        amount_minor=money.amount_minor,
        currency=money.currency,
        why=visit.form.needed("why", "why"),
    )
    desk = visit.context.desk
    if visit.form.text("step") == "do":
        done = await confirming.confirm(desk, actor(visit), wanted, key=visit.form.needed("key", "the form's key"))
        return after(visit, _back(payment), done)
    foreseen = await confirming.foresee(desk, wanted)
    visit.context.wake()
    if foreseen.is_paid_already:
        return after(visit, _back(payment), "already")
    says = foreseen.channel_says
    heard = Said("The channel was asked just now; it says: {says}.", {"says": says or "nothing that can be used"})
    paid = Said("The payment becomes paid over {amount}, and its order with it.", {"amount": money})
    values = {"txn": wanted.channel_txn_id, "amount": major(money), "why": wanted.why}
    deed = Deed(
        title="Confirm a payment", path=f"/payments/{payment.id}/confirm", back=_back(payment), about=payment.id,
        will=[heard, paid, _TOLD] if not foreseen.because else [heard, _SECOND, paid, _TOLD], hidden=values,
        because=foreseen.because, button="Ask a second person" if foreseen.because else "Confirm", danger=True,
    )  # fmt: skip
    return await _show(visit, payment, deed)


_SECOND = Said("A second person is asked to agree; until then nothing happens.")


async def refund_page(visit: Visit) -> Response:
    """How much to give back."""
    payment = await _payment(visit)
    foreseen = await refunding.foresee(visit.context.desk, payment.id, None)
    fields = [
        Field(title="Amount to give back", name="amount", kind="number", value=major(foreseen.left),
              hint=f"{foreseen.left}"),
        reason("The customer may see it; it stands in the audit, too."),
    ]  # fmt: skip
    deed = Deed(
        title="Refund", path=f"/payments/{payment.id}/refund", back=_back(payment), about=payment.id, fields=fields,
        will=[Said("At most {left} can be given back; nothing is sent yet.", {"left": foreseen.left})],
        button="Show what will happen", step="preview",
    )  # fmt: skip
    return await _show(visit, payment, deed)


async def refund(visit: Visit) -> Response:
    """Show what will happen; or do it."""
    payment = await _payment(visit)
    money = from_major(visit.form.needed("amount", "the amount to give back"), payment.currency)
    why = visit.form.needed("why", "why")
    desk = visit.context.desk
    if visit.form.text("step") == "do":
        wanted = GiveBack(payment_id=payment.id, amount_minor=money.amount_minor, currency=money.currency, why=why)
        done = await refunding.refund(desk, actor(visit), wanted, key=visit.form.needed("key", "the form's key"))
        return after(visit, _back(payment), done)
    foreseen = await refunding.foresee(desk, payment.id, money)
    sent = Said(
        "{amount} is sent back to the customer through {channel}.", {"amount": money, "channel": payment.channel}
    )
    deed = Deed(
        title="Refund", path=f"/payments/{payment.id}/refund", back=_back(payment), about=payment.id, danger=True,
        will=[_SECOND, sent, _ASKED_ABOUT] if foreseen.because else [sent, _ASKED_ABOUT, _TOLD],
        hidden={"amount": major(money), "why": why}, because=foreseen.because,
        button="Ask a second person" if foreseen.because else "Refund",
    )  # fmt: skip
    return await _show(visit, payment, deed)


_ASKED_ABOUT = Said("The channel is asked about it until it is settled; sent twice, it pays once.")


async def release_page(visit: Visit) -> Response:
    """Take held money as it came, or give it back."""
    payment = await _payment(visit)
    taking = await releasing.foresee(visit.context.desk, payment.id, Verdict.ACCEPT)
    giving = await releasing.foresee(visit.context.desk, payment.id, Verdict.GIVE_BACK)
    values = {"came": taking.came, "agreed": payment.money}
    second = [*([_TAKING] if taking.because else []), *([_GIVING] if giving.because else [])]
    choices = [(Verdict.ACCEPT.value, "Take it: it pays the order as it came"),
               (Verdict.GIVE_BACK.value, "Give all of it back to the customer")]  # fmt: skip
    deed = Deed(
        title="Release held money", path=f"/payments/{payment.id}/release", back=_back(payment), about=payment.id,
        will=[Said("{came} came, {agreed} was agreed. The case is closed with your decision.", values), *second, _TOLD],
        fields=[Field(title="Decision", name="decision", kind="choice", choices=choices), reason()],
        because=giving.because or taking.because, button="Decide", danger=True,
    )  # fmt: skip
    return await _show(visit, payment, deed)


_TAKING = Said("Taking it waits until a second person agrees.")
_GIVING = Said("Giving it back waits until a second person agrees.")


async def release(visit: Visit) -> Response:
    """Decide."""
    decision = Verdict(visit.form.text("decision")) if visit.form.text("decision") in set(Verdict) else None
    if decision is None:
        raise NotFound("choose one of the two decisions")
    payment = await _payment(visit)
    wanted = Release(payment_id=payment.id, decision=decision, why=visit.form.needed("why", "why"))
    return after(visit, _back(payment), await releasing.release(visit.context.desk, actor(visit), wanted))


async def close_page(visit: Visit) -> Response:
    """Before giving an order up."""
    order = await _order(visit)
    will = [
        Said("Its payments are closed at the channel, so that nobody can pay them any more; then it is closed."),
        Said("If money comes all the same, the shop's policy applies: {policy}.", {
            "policy": "the order is reopened" if order.late_payment == "reopen" else "the money is given back"}),
    ]  # fmt: skip
    deed = Deed(
        title="Close the order", path=f"/orders/{order.id}/close", back=f"/orders/{order.id}",
        about=order.shop_order_no, will=will, fields=[reason()], button="Close", danger=True,
    )  # fmt: skip
    return show(visit, deed)


async def close(visit: Visit) -> Response:
    """Give it up."""
    order = await _order(visit)
    why = visit.form.needed("why", "why")
    return after(visit, f"/orders/{order.id}", await deeds.close(visit.context.desk, actor(visit), order.id, why))


async def resend_page(visit: Visit) -> Response:
    """Before telling the shop again."""
    order = await _order(visit)
    async with visit.context.db.session() as tx:
        found = await deeds.unsettled(tx, order.id)
    will = [Said("{count} events are sent to the shop again, in their order, each under the same webhook-id.", {
        "count": len(found)})]  # fmt: skip
    deed = Deed(
        title="Re-send to the shop", path=f"/orders/{order.id}/resend", back=f"/orders/{order.id}",
        about=order.shop_order_no, will=will, fields=[reason()], button="Re-send",
    )  # fmt: skip
    return show(visit, deed)


async def resend(visit: Visit) -> Response:
    """Tell the shop again."""
    order_id, why = visit.request.path_params["order_id"], visit.form.needed("why", "why")
    count = await deeds.resend_order(visit.context.desk, actor(visit), order_id, why)
    return after(visit, f"/orders/{order_id}", "done" if count else "already")


async def _show(visit: Visit, payment: Payment, deed: Deed) -> Response:
    """The page of a deed, which names the payment as people know it: by its order's number and its money."""
    async with visit.context.db.session() as tx:
        order = await orders.get(tx, payment.order_id)
    return show(visit, replace(deed, number=order.shop_order_no if order else "", money=payment.money))


async def _payment(visit: Visit) -> Payment:
    async with visit.context.db.session() as tx:
        return await the_payment(tx, visit.request.path_params["payment_id"], None)


async def _order(visit: Visit) -> Order:
    async with visit.context.db.session() as tx:
        order = await orders.get(tx, visit.request.path_params["order_id"])
    if order is None:
        raise NotFound("there is no such order; search for any other number of it")
    return order


def _back(payment: Payment) -> str:
    return f"/orders/{payment.order_id}"
