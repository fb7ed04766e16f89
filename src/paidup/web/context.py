"""What the API's handlers need, in one frozen value."""

from collections.abc import Callable
from dataclasses import dataclass, field

from paidup.ask import Asker
from paidup.channels.accounts import AccountsFolder
from paidup.checkout.counter import Counter
from paidup.clock import Clock
from paidup.db.transaction import Database
from paidup.hand.desk import Desk
from paidup.handlers import Handlers
from paidup.metrics.exporter import Exporter
from paidup.metrics.process import Vitals
from paidup.oidc.provider import Provider
from paidup.settings import Settings
from paidup.spans.tell import Spans
from paidup.web.upload import Uploads


@dataclass(frozen=True)
class Context:
    """The parts of a running Paidup that answer requests. wake: tells the workers that a look-up left them work.

    exporter: answers Prometheus; None when nobody may ask. provider: of identities, with whom people sign in.
    """

    db: Database
    counter: Counter
    asker: Asker
    accounts: AccountsFolder
    handlers: Handlers
    clock: Clock
    settings: Settings
    wake: Callable[[], None]
    vitals: Vitals = field(default_factory=Vitals)
    exporter: Exporter | None = None
    spans: Spans | None = None
    provider: Provider | None = None
    uploads: Uploads = field(default_factory=lambda: Uploads(256 << 20, None))

    @property
    def desk(self) -> Desk:
        """What people's deeds need of it."""
        return Desk(self.db, self.asker, self.accounts, self.handlers, self.clock, self.settings)
