"""Every channel keeps every claim of the suite; a new one comes in with its ``specimen_<channel>.py`` beside this."""

import importlib
from pathlib import Path

import pytest

pytest.register_assert_rewrite("suite")

from suite import CLAIMS, Specimen  # noqa: E402 - its asserts are to be rewritten first

from paidup.channels.registry import CHANNELS  # noqa: E402

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("specimen_*.py"))
SPECIMENS: list[Specimen] = [importlib.import_module(module).SPECIMEN for module in MODULES]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.channel.name)
def test_a_channel_keeps_the_claim(specimen: Specimen, claim) -> None:
    """Each claim of the suite holds for each channel; what it holds stands in the claim's own docstring."""
    claim(specimen)


def test_every_channel_has_a_specimen() -> None:
    """No channel is registered without having been put to the suite."""
    assert sorted(CHANNELS) == sorted(specimen.channel.name for specimen in SPECIMENS)
