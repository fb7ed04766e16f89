"""What the API's handlers need, in one frozen value."""

from collections.abc import Callable
from dataclasses import dataclass

from paidup.ask import Asker
from paidup.channels.accounts import AccountsFolder
from paidup.clock import Clock
from paidup.db.transaction import Database
from paidup.handlers import Handlers
from paidup.settings import Settings


@dataclass(frozen=True)
class Context:
    """The parts of a running Paidup that answer requests. wake: tells the workers that a look-up left them work."""

    db: Database
    asker: Asker
    accounts: AccountsFolder
    handlers: Handlers
    clock: Clock
    settings: Settings
    wake: Callable[[], None]
