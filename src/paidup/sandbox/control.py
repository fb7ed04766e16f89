"""The control API below /sandbox/: look at the truth, make buyers pay, change the faults while it runs."""

from collections.abc import Callable
from typing import Any

import msgspec

from paidup.errors import ConfigError, InvalidRequest
from paidup.sandbox.faults import Faults
from paidup.sandbox.ledger import Trade
from paidup.sandbox.server import Sandbox
from paidup.sandbox.wire import Ask, Tell

_JSON = {"content-type": "application/json"}


class _Which(msgspec.Struct, frozen=True):
    """Which trade is meant; `says` and `refund_ref` where they matter."""

    channel: str
    merchant_ref: str
    says: str = "opened"
    refund_ref: str = ""


class Control:
    """Answers requests to /sandbox/."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._routes: dict[tuple[str, str], Callable[[Ask], object]] = {
            ("GET", "/sandbox/ledger"): self._ledger,
            ("GET", "/sandbox/summary"): lambda _: self.summary(),
            ("GET", "/sandbox/faults"): lambda _: self._sandbox.faults,
            ("PUT", "/sandbox/faults"): self._set_faults,
            ("POST", "/sandbox/pay"): self._pay,
            ("POST", "/sandbox/dispute"): self._dispute,
            ("POST", "/sandbox/refund-fails"): self._refund_fails,
            ("POST", "/sandbox/callbacks/resend"): self._resend,
        }

    async def answer(self, ask: Ask) -> Tell:
        """One control request. What is wrong with it is said in `error`."""
        act = self._routes.get((ask.method, ask.path))
        if act is None:
            known = ", ".join(f"{method} {path}" for method, path in self._routes)
            return Tell(404, _JSON, msgspec.json.encode({"error": f"no such address; there are {known}"}))
        try:
            return Tell(200, _JSON, msgspec.json.encode(act(ask)))
        except (InvalidRequest, ConfigError, msgspec.MsgspecError, KeyError) as error:
            return Tell(400, _JSON, msgspec.json.encode({"error": str(error)}))

    def summary(self) -> dict[str, Any]:
        """Counts for people and for the demo's screen."""
        trades = list(self._sandbox.ledger.trades())
        channels = {}
        for name in sorted({trade.channel for trade in trades}):
            mine = [trade for trade in trades if trade.channel == name]
            channels[name] = {
                "opened": len(mine),
                "paid": sum(trade.paid_at is not None for trade in mine),
                "paid_minor": sum(trade.amount_minor for trade in mine if trade.paid_at),
                "refunded_minor": sum(trade.refunded_minor() for trade in mine),
            }
        return {
            "channels": channels,
            "buyers_waiting": self._sandbox.buyers_waiting,
            "callbacks_under_way": self._sandbox.callbacks.under_way,
            "callbacks": dict(self._sandbox.callbacks.counts),
            "requests": dict(self._sandbox.counts),
        }

    def _ledger(self, ask: Ask) -> list[dict[str, Any]]:
        """?offset= and ?limit= page through the trades in the order they were opened."""
        query = ask.query()
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", 1000)), 10_000)
        return [_shown(trade) for trade in list(self._sandbox.ledger.trades())[offset : offset + limit]]

    def _set_faults(self, ask: Ask) -> Faults:
        self._sandbox.faults = msgspec.json.decode(ask.body, type=Faults)
        return self._sandbox.faults

    def _pay(self, ask: Ask) -> dict[str, Any]:
        trade = self._find(ask)
        if not self._sandbox.pay(trade):
            raise InvalidRequest(f"trade {trade.merchant_ref} is {trade.state} and cannot be paid")
        return _shown(trade)

    def _dispute(self, ask: Ask) -> dict[str, Any]:
        which = msgspec.json.decode(ask.body, type=_Which)
        trade = self._find(ask)
        self._sandbox.dispute(trade, which.says)
        return _shown(trade)

    def _refund_fails(self, ask: Ask) -> dict[str, Any]:
        trade = self._find(ask)
        self._sandbox.refund_fails(trade, msgspec.json.decode(ask.body, type=_Which).refund_ref)
        return _shown(trade)

    def _resend(self, ask: Ask) -> dict[str, Any]:
        trade = self._find(ask)
        self._sandbox.resend(trade)
        return _shown(trade)

    def _find(self, ask: Ask) -> Trade:
        which = msgspec.json.decode(ask.body, type=_Which)
        return self._sandbox.find(which.channel, which.merchant_ref)


def _shown(trade: Trade) -> dict[str, Any]:
    return {
        "channel": trade.channel,
        "merchant_ref": trade.merchant_ref,
        "number": trade.number,
        "amount_minor": trade.amount_minor,
        "currency": trade.currency,
        "method": trade.method,
        "state": trade.state,
        "opened_at": trade.opened_at,
        "paid_at": trade.paid_at,
        "dispute": trade.dispute,
        "refunds": [
            {"merchant_ref": r.merchant_ref, "number": r.number, "amount_minor": r.amount_minor, "state": r.state}
            for r in trade.refunds.values()
        ],
    }
