"""The trades of one Stripe account, found by Stripe's numbers."""

from collections.abc import Mapping
from datetime import datetime

from paidup.sandbox.ledger import Ledger, Trade
from paidup.sandbox.stripe.objects import CHECKOUT, NAME, has_intent, intent_of, session_number


class Trades:
    """Those of the ledger that this account has."""

    def __init__(self, ledger: Ledger, account: str) -> None:
        self._ledger = ledger
        self._account = account

    def ever(self) -> list[Trade]:
        """All trades of this account, the oldest first."""
        trades = self._ledger.page(0, len(self._ledger))
        return [trade for trade in trades if (trade.channel, trade.account) == (NAME, self._account)]

    def refunded_from(self, fields: Mapping[str, str], now: datetime) -> Trade | None:
        """The payment that a refund is of, named by its PaymentIntent or its charge."""
        return self.by_intent(fields.get("payment_intent") or fields.get("charge", "").replace("ch_", "pi_"), now)

    def by_intent(self, number: str, now: datetime) -> Trade | None:
        """The PaymentIntent of a page exists once the customer has tried to pay."""
        trade = self._ledger.numbered(NAME, self._account, number, now)
        return trade if trade and has_intent(trade) else None

    def by_session(self, number: str, now: datetime) -> Trade | None:
        """The trade of a page."""
        trade = self._ledger.numbered(NAME, self._account, intent_of(number), now)
        return trade if trade and session_number(trade) == number and trade.method == CHECKOUT else None
