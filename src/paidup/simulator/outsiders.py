"""Whoever is no part of Paidup and has to do with it: the shop, its customers, its people and its services, and the
channels' postman."""

from collections.abc import Callable

from paidup.sandbox.world import World
from paidup.simulator.bill_fates import FatedBills
from paidup.simulator.channels import Later, Trouble
from paidup.simulator.database import StagedDatabase
from paidup.simulator.finance import Finance
from paidup.simulator.ground import Ground
from paidup.simulator.office import Desks
from paidup.simulator.postman import Postman
from paidup.simulator.process import Process
from paidup.simulator.script import Office
from paidup.simulator.shop import Shop
from paidup.simulator.stage import Stage
from paidup.simulator.staged_services import StagedServices
from paidup.simulator.undertakings import Undertakings
from paidup.simulator.witness import Witness


class Outsiders:
    """All of a run. pick: a process to ask, or None when none is up. is_away: whether somebody is out of reach now.
    later: do something after so many seconds."""

    def __init__(
        self,
        ground: Ground,
        world: World,
        stage: Stage,
        witness: Witness,
        bills: FatedBills,
        office: Office | None,
        *,
        pick: Callable[[str], Process | None],
        is_away: Callable[[str], Trouble | None],
        later: Later,
    ) -> None:
        clock = stage.clock
        self.postman = Postman(world, stage, clock, witness, pick=pick, later=later)
        self.shop = Shop(world, stage, clock, witness, pick=pick, is_away=is_away, later=later)
        self.services = StagedServices(StagedDatabase(ground, stage), stage, clock, is_away=is_away, later=later)
        self.undertakings = Undertakings(self.shop, self.services, stage, clock, witness, pick=pick, later=later)
        self.shop.placed = self.undertakings.placed
        self.desks = Desks(world, stage, clock, witness, office, pick=pick, later=later)
        self.shop.opened = self.desks.opened
        self.finance = Finance(self.shop, bills, stage, witness, pick=pick, later=later)
