"""Where a worker begins to look for events, and that none is passed over for long."""

from datetime import timedelta

from paidup.outbox.floor import BEGINNING, LATE, WHOLE_EVERY, Floor
from paidup.testing.builders import NOW, after


def test_the_first_look_is_at_all_and_later_ones_begin_before_what_was_taken_last() -> None:
    """By so much as a commit may come later than its events say."""
    floor = Floor()
    assert BEGINNING == floor.begin(NOW)
    floor.took(after(-60))
    assert after(-60) - LATE == floor.begin(after(0.5))
    floor.took(after(-30))
    assert after(-30) - LATE == floor.begin(after(0.9))


def test_once_a_second_it_looks_at_all() -> None:
    """For what was committed later than that."""
    floor = Floor()
    looks = []
    for n in range(30):
        looks.append(floor.begin(NOW + n * WHOLE_EVERY / 10))
        floor.took(NOW)
    assert [0, 10, 20] == [n for n, look in enumerate(looks) if look == BEGINNING]


def test_a_look_that_found_nothing_is_followed_by_one_at_all() -> None:
    """Whatever woke the worker may be older than it thinks."""
    floor = Floor()
    floor.begin(NOW)
    floor.took(NOW)
    floor.begin(after(0.1))
    floor.took(None)
    assert BEGINNING == floor.begin(after(0.2))


def test_a_clock_that_jumps_back_passes_nothing_over() -> None:
    """It looks at all."""
    floor = Floor()
    floor.begin(NOW)
    floor.took(NOW)
    assert BEGINNING == floor.begin(NOW - timedelta(hours=1))
