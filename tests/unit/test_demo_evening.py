"""When the demo's day ends well."""

import pytest

from paidup.demo.evening import Evening


@pytest.mark.parametrize(
    ("matched", "breaks", "unsettled", "holds"),
    [
        (100, {}, 0, True),
        (100, {"long": 4}, 0, True),  # healed: matched when the day was laid beside our books once more
        (97, {"long": 4, "wrong_day": 3}, 0, True),  # midnight passed, and the next day's bill has cleared them
        (97, {"wrong_day": 3}, 3, False),
        (97, {"long": 3}, 0, False),
        (96, {"wrong_day": 3}, 0, False),
    ],
)
def test_a_demo_that_runs_past_midnight_ends_as_well_as_any_other(
    matched: int, breaks: dict[str, int], unsettled: int, holds: bool
) -> None:
    """Each line is matched, on its day or on the one beside it, and nothing is left to settle."""
    assert holds is Evening(lines=100, matched=matched, breaks=breaks, healed=1, unsettled=unsettled).holds
