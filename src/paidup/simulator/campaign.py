"""Many seeds, one after the other, on one server."""

import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from paidup import ids
from paidup.channels.accounts import AccountsFolder
from paidup.reconcile.table import one_engine
from paidup.sandbox.accounts import write_accounts
from paidup.sandbox.keys import Keys, make_keys
from paidup.simulator.chance import SeededChance
from paidup.simulator.ground import Ground, ground
from paidup.simulator.outcome import Outcome
from paidup.simulator.process import TABLE_LIMITS
from paidup.simulator.run import NOBODY, SHOP, START, Run


class Theatre:
    """A server and the channels' keys; plays seeds."""

    def __init__(self, ground: Ground, keys: Keys, accounts: Path) -> None:
        self._ground = ground
        self._keys = keys
        self._accounts = AccountsFolder(accounts)

    async def play(
        self, seed: int, *, only: frozenset[str] | None = None, tell: bool = False, days: int | None = None
    ) -> Outcome:
        """One run of this seed. only: the faults that may hit, by key. tell: keep every step. days: so many days of
        trade, with bills all along."""
        with _quietly(), one_engine(TABLE_LIMITS):
            return await Run(self._ground, seed, self._keys, self._accounts, only=only, tell=tell, days=days).play()


@contextmanager
def _quietly() -> Iterator[None]:
    """Thousands of failures are played on purpose: nobody wants to read of them."""
    logger = logging.getLogger("paidup")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


@asynccontextmanager
async def theatre(on: Ground | None = None) -> AsyncIterator[Theatre]:
    """A place to play seeds, on this ground or on one of its own."""
    with tempfile.TemporaryDirectory(prefix="paidup-accounts-") as folder:
        keys = _keys()
        write_accounts(Path(folder), keys, base_url=NOBODY, paidup_url=NOBODY, shop=SHOP)
        if on is not None:
            yield Theatre(on, keys, Path(folder))
            return
        async with ground() as made:
            yield Theatre(made, keys, Path(folder))


def _keys() -> Keys:
    """The numbers of the accounts are the same each time; RSA keys are not, and nothing depends on them."""
    before = ids.take_chance_from(SeededChance(0, lambda: "keys"))
    try:
        return make_keys(START)
    finally:
        ids.take_chance_from(before)
