"""What doing something by hand needs, in one frozen value; and when it takes a second person."""

from dataclasses import dataclass
from datetime import datetime

from paidup.ask import Asker
from paidup.channels.accounts import AccountsFolder
from paidup.clock import Clock
from paidup.db.transaction import Database, Tx
from paidup.errors import InvalidRequest, NotFound
from paidup.handlers import Handlers
from paidup.money import Money
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.settings import Settings

MAX_WHY_CHARS = 1000
ABOVE = "the amount is above the limit of one person"


@dataclass(frozen=True)
class Desk:
    """The parts of a running Paidup that people's deeds use."""

    db: Database
    asker: Asker
    accounts: AccountsFolder
    handlers: Handlers
    clock: Clock
    settings: Settings

    def now(self) -> datetime:
        """The clock's time."""
        return self.clock.now()

    def needs_second(self, money: Money) -> bool:
        """Whether so much takes a second person; a currency without a limit always does."""
        return money.amount_minor > dict(self.settings.second_person_above).get(money.currency, -1)


def a_reason(text: str) -> str:
    """The reason a person gives. Raises InvalidRequest when there is none, or too long a one."""
    if not 1 <= len(text.strip()) <= MAX_WHY_CHARS:
        raise InvalidRequest(f"write why, in 1 to {MAX_WHY_CHARS} characters: it stands in the audit")
    return text.strip()


async def the_payment(tx: Tx, payment_id: str, shop: str | None) -> Payment:
    """A payment of the shop; shop None: of any. Raises NotFound."""
    payment = await payments.get(tx, payment_id)
    if payment is None or (shop is not None and payment.shop != shop):
        raise NotFound(f"there is no payment {payment_id}")
    return payment
