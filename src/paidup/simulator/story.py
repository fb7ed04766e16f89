"""Which story a seed tells."""

from paidup.simulator import sale
from paidup.simulator.office import with_office
from paidup.simulator.pages import with_pages
from paidup.simulator.script import Script
from paidup.simulator.undertakings import with_services


def story_of(seed: int) -> Script:
    """The whole script of this seed."""
    return with_pages(seed, with_office(seed, with_services(seed, sale.script_of(seed))))
