"""Who is out of reach for a while: the shop, a channel, or a service that takes part."""

from collections.abc import Sequence
from datetime import datetime

from paidup.simulator.channels import Trouble
from paidup.simulator.script import Away
from paidup.simulator.stage import Stage
from paidup.simulator.staged_services import NAMES
from paidup.simulator.watch import Watch


class Outages:
    """Those that the script has, in seconds after the start; whether each comes about is for the fates. watch: is told
    when it keeps anybody from asking a channel."""

    def __init__(self, script: Sequence[Away], start: datetime, stage: Stage, watch: Watch) -> None:
        self._named = {f"{away.whom} {n}": away for n, away in enumerate(script)}  # each is a fault of its own
        self._start = start
        self._stage = stage
        self._watch = watch

    def trouble_of(self, whom: str) -> Trouble | None:
        """Whether somebody is out of reach now, or in a storm."""
        now, fates = self._stage.clock.now(), self._stage.fates
        elapsed_s = (now - self._start).total_seconds()
        for name, away in self._named.items():
            may_be = away.whom == whom and away.from_s <= elapsed_s < away.to_s and not fates.over
            if may_be and fates.once(_kind(whom), name, now):
                if whom != "shop":
                    self._watch.excuse(now)
                return Trouble.STORM if away.storm else Trouble.AWAY
        return None


def _kind(whom: str) -> str:
    kind = "service" if whom in NAMES else "shop" if whom == "shop" else "channel"
    return f"{kind}.outage"
