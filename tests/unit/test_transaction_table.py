"""A transaction as a table: what it says, what it refuses with advice, and how long it can take at the most."""

import pytest

from paidup.errors import InvalidRequest
from paidup.transactions.table import MAX_TABLE_BYTES, MAY_TURN, MUST_END, Step, Table, check, read_toml

CHECKOUT = """
name = "checkout"
within_s = 600
[[step]]
name = "coupon"
participant = "coupons"
[[step]]
name = "points"
participant = "points"
parallel = true
[[step]]
name = "payment"
waits_for = "order.paid"
[[step]]
name = "parcel"
participant = "shipping"
timeout_s = 10
"""


def asks(name: str, **fields: object) -> Step:
    return Step(name=name, participant=name, **fields)


def test_a_table_in_toml_is_read_with_its_stages_and_its_pivot() -> None:
    """Parallel steps share a stage; the step that waits for the payment is the pivot."""
    table = read_toml(CHECKOUT)
    assert [["coupon", "points"], ["payment"], ["parcel"]] == [[step.name for step in stage] for stage in table.stages]
    assert ("payment", True, False) == (
        table.pivot and table.pivot.name, table.is_after_pivot("parcel"), table.is_after_pivot("coupon")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("name = ", "not TOML"),
        ('name = "t"\nstep = []', "1 to 10 steps"),
        ('name = "t"\n[[step]]\nname = "a"', "name either a participant, or waits_for"),
        ('name = "t"\n[[step]]\nname = "A b"\nparticipant = "x"', "lower-case letters"),
        ('name = "t"\n[[step]]\nname = "a"\nparticipant = "x"\ntimeout = 3', "unknown field `timeout`"),
        ('name = "t"\nkind = "xa"\n[[step]]\nname = "a"\nparticipant = "x"', "Invalid enum value 'xa'"),
        ('name = "t"\n[[step]]\nname = "a"\nwaits_for = "order.shipped"', "Invalid enum value"),
        (f"# {'x' * MAX_TABLE_BYTES}", "at most"),
    ],
)
def test_what_makes_no_sense_is_refused_with_advice(text: str, advice: str) -> None:
    """One sentence that says what to write instead."""
    with pytest.raises(InvalidRequest, match=advice):
        read_toml(text)


@pytest.mark.parametrize(
    ("table", "advice"),
    [
        (Table(name="t", step=(asks("a"), asks("a"))), "same name"),
        (Table(name="t", within_s=0, step=(asks("a"),)), "within_s"),
        (Table(name="t", step=(asks("a", timeout_s=31),)), "timeout_s"),
        (Table(name="t", step=(asks("a", tries=0),)), "tries"),
        (Table(name="t", step=(asks("a", after_s=3),)), "after_s"),
        (Table(name="t", step=(asks("a", pivot=True), asks("b", pivot=True))), "one pivot at most"),
        (Table(name="t", step=(asks("a"), asks("b", pivot=True, parallel=True))), "nothing may be parallel"),
        (Table(name="t", kind="tcc", step=(asks("a", pivot=True),)), "in a tcc only"),
        (Table(name="t", kind="tcc", step=(Step(name="p", waits_for="order.paid"), asks("a"))), "in a tcc only"),
        (Table(name="t", step=(asks("a"), asks("b", check_back=True))), "it is the first step"),
        (Table(name="t", step=(Step(name="p", waits_for="order.paid", pivot=True),)), "leave pivot"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(table: Table, advice: str) -> None:
    """In code as in TOML."""
    with pytest.raises(InvalidRequest, match=advice):
        check(table)


def test_an_unknown_step_names_those_there_are() -> None:
    """For whoever misspells one."""
    with pytest.raises(InvalidRequest, match="there are coupon, points, payment, parcel"):
        read_toml(CHECKOUT).find("cupon")


def test_the_longest_time_adds_up_all_that_can_be_waited_for() -> None:
    """The time before the pivot or the check back, the channels' day to close, all tries of what has to succeed."""
    step = asks("a", timeout_s=2, tries=2)
    assert MUST_END.wait_s(1, 1.1) + 2 * 2 == step.bound_s(MUST_END)
    assert 3600 + 2 + step.bound_s(MUST_END) == Table(name="t", step=(step,)).bound_s()
    late = Table(name="t", step=(asks("a", timeout_s=2, tries=2, check_back=True, after_s=86400),))
    assert 86400 + 2 + step.bound_s(MUST_END) == late.bound_s()
    assert 86400 < read_toml(CHECKOUT).bound_s() < 2 * 86400
    assert (8, 12) == (asks("a").most_tries(MAY_TURN), asks("a").most_tries(MUST_END))
