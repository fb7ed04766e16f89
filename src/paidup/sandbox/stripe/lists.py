"""What of Stripe's can be listed, and by what it is chosen."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import parse_qs

from paidup.sandbox.stripe.objects import CHECKOUT, Json, has_intent, intent, missing, page, refund_object, session
from paidup.sandbox.stripe.trades import Trades
from paidup.sandbox.wire import Ask, Tell


def listed(what: str, trades: Trades, events: Iterable[Json], ask: Ask, now: datetime) -> Tell:
    """A page of the list under this path. events: the newest first. Raises InvalidRequest and ValueError."""
    match what:
        case "payment_intents":
            return _intents(trades, ask)
        case "checkout/sessions":
            return _sessions(trades, ask, now)
        case "refunds":
            return _refunds(trades, ask, now)
        case "events":
            return _events(events, ask)
        case _:
            return missing("No such object, or an unrecognized request URL")


def _refunds(trades: Trades, ask: Ask, now: datetime) -> Tell:
    """Of one payment, or of all."""
    query = ask.query()
    trade = trades.refunded_from(query, now)
    if trade is None and ("payment_intent" in query or "charge" in query):
        return missing("No such payment_intent or charge")
    refunds = [it for one in ([trade] if trade else trades.ever()) for it in one.refunds]
    oldest_first = sorted(refunds, key=lambda refund: refund.made_at)
    return page("/v1/refunds", [refund_object(refund) for refund in reversed(oldest_first)], query)


def _intents(trades: Trades, ask: Ask) -> Tell:
    found = [intent(trade) for trade in reversed(trades.ever()) if has_intent(trade)]
    return page("/v1/payment_intents", found, ask.query())


def _sessions(trades: Trades, ask: Ask, now: datetime) -> Tell:
    """Of one PaymentIntent, or all."""
    query = ask.query()
    trade = trades.by_intent(query["payment_intent"], now) if "payment_intent" in query else None
    shown = [trade] if trade else [] if "payment_intent" in query else reversed(trades.ever())
    found = [
        session(it) | ({"payment_intent": intent(it)} if _is_expanded(query) and has_intent(it) else {})
        for it in shown
        if it.method == CHECKOUT
    ]
    return page("/v1/checkout/sessions", found, query)


def _events(newest_first: Iterable[Json], ask: Ask) -> Tell:
    """By type, and by delivery."""
    query = parse_qs(ask.target.partition("?")[2])
    kinds = query.get("types[]", []) + query.get("type", [])
    delivered = query.get("delivery_success", [""])[0]
    wanted = {"true": (0,), "false": (1,)}.get(delivered, (0, 1))
    found = [it for it in newest_first if it["pending_webhooks"] in wanted]
    return page("/v1/events", [it for it in found if not kinds or it["type"] in kinds], ask.query())


def _is_expanded(query: Mapping[str, str]) -> bool:
    return query.get("expand[]") == "data.payment_intent"
