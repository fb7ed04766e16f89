"""The control API below /sandbox/: look at the truth, make buyers pay, change the faults while it runs."""

from collections.abc import Callable
from typing import Any

import msgspec

from paidup.errors import ConfigError, InvalidRequest
from paidup.sandbox.faults import Faults
from paidup.sandbox.ledger import DisputeState, RefundState, Trade
from paidup.sandbox.server import Sandbox
from paidup.sandbox.wire import NONSENSE, Ask, Tell
from paidup.sandbox.world import CHANNELS

MAX_PAGE = 10_000

_Act = Callable[["Which", Trade], None]


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which trade is meant, by the merchant's number or the channel's; `says` for disputes, `refund_ref` for
    refunds."""

    channel: str
    merchant_ref: str
    account: str = "main"
    says: DisputeState = DisputeState.OPENED
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
            ("POST", "/sandbox/scan"): self._acting(self._scan),
            ("POST", "/sandbox/pay"): self._acting(self._pay),
            ("POST", "/sandbox/dispute"): self._acting(self._dispute),
            ("POST", "/sandbox/refund-fails"): self._acting(self._refund_fails),
            ("POST", "/sandbox/callbacks/resend"): self._acting(self._resend),
        }

    def answer(self, ask: Ask) -> Tell:
        """One control request. What is wrong with it is said in `error`."""
        act = self._routes.get((ask.method, ask.path))
        if act is None:
            known = ", ".join(f"{method} {path}" for method, path in self._routes)
            return _tell(404, {"error": f"no such address; there are {known}"})
        try:
            self._sandbox.now()
            done = act(ask)
        except (*NONSENSE, ConfigError) as error:
            return _tell(400, {"error": str(error)})
        self._sandbox.pass_on()
        return _tell(200, done)

    def summary(self) -> dict[str, Any]:
        """Counts and sums by channel, for people and for screens."""
        world, callbacks = self._sandbox.world, self._sandbox.callbacks
        trades = world.ledger.page(0, len(world.ledger))
        return {
            "channels": {
                channel: _sums([trade for trade in trades if trade.channel == channel])
                | {"callbacks": {what: n for (name, what), n in callbacks.counts.items() if name == channel}}
                for channel in CHANNELS
            },
            "buyers_waiting": world.buyers_waiting,
            "callbacks_under_way": callbacks.under_way,
            "callbacks_retrying": callbacks.retrying,
            "callbacks": callbacks.totals(),
            "requests": dict(self._sandbox.counts + world.counts),
        }

    def _ledger(self, ask: Ask) -> list[dict[str, Any]]:
        """?offset= and ?limit= page through the trades in the order they were opened."""
        query = ask.query()
        offset, limit = _whole(query.get("offset", "0")), min(_whole(query.get("limit", "1000")), MAX_PAGE)
        return [_shown(trade) for trade in self._sandbox.world.ledger.page(offset, limit)]

    def _set_faults(self, ask: Ask) -> Faults:
        """What is not named goes well from now on."""
        self._sandbox.faults = msgspec.json.decode(ask.body, type=Faults)
        return self._sandbox.faults

    def _acting(self, act: _Act) -> Callable[[Ask], dict[str, Any]]:
        """Find the trade that is meant, act on it, and show what it is then."""

        def acted(ask: Ask) -> dict[str, Any]:
            which = msgspec.json.decode(ask.body, type=Which)
            world, now = self._sandbox.world, self._sandbox.now()
            trade = world.find(which.channel, which.account, which.merchant_ref, now)
            act(which, trade)
            return _shown(trade)

        return acted

    def _scan(self, _: Which, trade: Trade) -> None:
        now = self._sandbox.now()
        if not self._sandbox.world.ledger.may_pay(trade, now):
            raise InvalidRequest(f"trade {trade.merchant_ref} is {trade.state}: there is nothing left to scan")
        self._sandbox.world.scan(trade, now)

    def _pay(self, _: Which, trade: Trade) -> None:
        if not self._sandbox.world.pay(trade, self._sandbox.now()):
            raise InvalidRequest(f"trade {trade.merchant_ref} is {trade.state} and cannot be paid")

    def _dispute(self, which: Which, trade: Trade) -> None:
        self._sandbox.world.dispute(trade, which.says, self._sandbox.now())

    def _refund_fails(self, which: Which, trade: Trade) -> None:
        self._sandbox.world.refund_fails(trade, which.refund_ref, self._sandbox.now())

    def _resend(self, _: Which, trade: Trade) -> None:
        self._sandbox.world.resend(trade, self._sandbox.now())


def _tell(status: int, what: object) -> Tell:
    """JSON that ends its line: curl is read by people."""
    return Tell(status, {"content-type": "application/json"}, msgspec.json.encode(what) + b"\n")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(f"{text[:20]!r} is no whole number")
    return int(text)


def _sums(trades: list[Trade]) -> dict[str, Any]:
    refunds = [refund for trade in trades for refund in trade.refunds]
    succeeded = [refund.amount_minor for refund in refunds if refund.state is RefundState.SUCCEEDED]
    return {
        "opened": len(trades),
        "paid": sum(trade.paid_at is not None for trade in trades),
        "paid_minor": sum(trade.amount_minor for trade in trades if trade.paid_at),
        "refunds": len(succeeded),
        "refunded_minor": sum(succeeded),
    }


def _shown(trade: Trade) -> dict[str, Any]:
    return {
        "channel": trade.channel,
        "account": trade.account,
        "merchant_ref": trade.merchant_ref,
        "number": trade.number,
        "amount_minor": trade.amount_minor,
        "currency": trade.currency,
        "method": trade.method,
        "state": trade.state,
        "opened_at": trade.opened_at,
        "paid_at": trade.paid_at,
        "closed_at": trade.closed_at,
        "dispute": trade.dispute,
        "refunds": [
            {
                "merchant_ref": refund.merchant_ref,
                "number": refund.number,
                "amount_minor": refund.amount_minor,
                "state": refund.state,
                "made_at": refund.made_at,
                "settled_at": refund.settled_at,
            }
            for refund in trade.refunds
        ],
    }
