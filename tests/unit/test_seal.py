"""A seal follows from what a row says, and from nothing else."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from paidup.seal import SIZE_BYTES, fingerprint, seal

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


class Row(msgspec.Struct):
    """A row as it was made."""

    number: str
    minor: int
    at: datetime
    note: str | None = None


class LongerRow(msgspec.Struct):
    """The same row, after a field was added at its end."""

    number: str
    minor: int
    at: datetime
    note: str | None = None
    added: str = ""


def test_the_seal_of_a_known_row_is_what_it_was() -> None:
    """Rows of former versions stay sound: a seal is never made in another way."""
    assert "8d169f56cc049406034ee423540d47cb" == seal(Row("A", 1, AT, "x")).hex()


@pytest.mark.parametrize(
    "changed", [{"number": "B"}, {"minor": 2}, {"minor": 0}, {"at": AT + timedelta(0, 1)}, {"note": "y"}]
)
def test_whatever_is_edited_breaks_the_seal(changed: dict[str, Any]) -> None:
    """Each field counts."""
    row = Row("A", 1, AT, "x")
    assert seal(row) != seal(msgspec.structs.replace(row, **changed))


@pytest.mark.parametrize("note", ["x", None])
def test_a_field_that_is_added_at_the_end_breaks_no_older_seal(note: str | None) -> None:
    """Nor does it matter whether the field before it was filled."""
    assert seal(Row("A", 1, AT, note)) == seal(LongerRow("A", 1, AT, note))
    assert seal(Row("A", 1, AT, note)) != seal(LongerRow("A", 1, AT, note, "z"))


def test_only_empty_fields_at_the_end_are_left_out() -> None:
    """One in the middle keeps its place, so that no two rows share a seal because their values moved."""
    assert fingerprint(("A", 0, "z")) == seal(Triple("A", 0, "z")) != seal(Triple("A", "z", 0))


class Triple(msgspec.Struct):
    """Three values."""

    one: object
    two: object
    three: object


def test_a_moment_is_an_instant_and_a_mapping_has_no_order() -> None:
    """The database gives back the same instant in another time zone, and the same mapping in another order."""
    there = AT.astimezone(timezone(timedelta(hours=8)))
    one, other = fingerprint({"a": AT, "b": 1}), fingerprint({"b": 1, "a": there})
    assert (one, SIZE_BYTES) == (other, len(one))
