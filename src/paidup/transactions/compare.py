"""What must agree about a transaction: order, stock, steps, cases, and what each participant remembers.

It shares no code with what moves transactions: it has statements and tables of its own, so that a mistake there is
found here. Pure; check.py reads, asks and mends.
"""

from collections.abc import Iterator, Mapping

import msgspec

Report = Mapping[str, str]
"""What a participant remembers of a step: slot (forward, confirm, back) → outcome (done, refused, blocked)."""


class StepSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it stands in the database. is_asked: it has a participant. is_check: the participant acts by itself."""

    name: str
    state: str
    is_asked: bool
    is_check: bool


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction with what belongs to it. units: of its order, by the stock journal: held and sold.

    is_long_ago: its participants need not remember it any more.
    """

    xid: str
    shop: str
    order_id: str
    order_state: str
    state: str
    waits_for_payment: bool
    steps: tuple[StepSeen, ...]
    open_cases: int
    is_overdue: bool
    is_long_ago: bool = False
    held_units: int = 0
    sold_units: int = 0
    has_stock: bool = False


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Two that should agree and do not. step: empty unless it is about one. mended: they agree now."""

    xid: str
    shop: str
    order_id: str
    step: str = ""
    what: str
    mended: bool = False


DONE, UNDONE = ("DONE", "CONFIRMED"), ("COMPENSATED", "CANCELLED")
_PAID = ("paid", "refunded")
_ENDS = {
    "DONE": ("done", "skipped"),
    "CONFIRMED": ("confirmed", "skipped"),
    "COMPENSATED": ("undone", "waiting", "refused", "skipped"),
    "CANCELLED": ("undone", "waiting", "refused", "skipped"),
}


def inside(seen: Seen) -> Iterator[str]:
    """What does not agree within our own database."""
    lost = [step.name for step in seen.steps if step.state == "lost"]
    if lost:
        yield f"the rows of its steps {', '.join(lost)} are gone: nobody can go on with it"
    yield from _with_its_order(seen)
    if seen.has_stock:
        yield from _with_stock(seen)
    good = _ENDS.get(seen.state)
    wrong = [
        f"{step.name} is {step.state}"
        for step in seen.steps
        if good and step.is_asked and step.state not in (*good, "lost")
    ]
    if wrong:
        yield f"it is {seen.state}, but {', '.join(wrong)}"
    if seen.state == "MANUAL" and seen.open_cases != 1:
        yield f"it waits for a person, and has {seen.open_cases} open cases instead of one"
    if seen.state != "MANUAL" and seen.open_cases:
        yield f"it is {seen.state}, and a person is still called"
    if seen.is_overdue:
        yield "it should have ended, or called a person, before now: does any worker with the role checkout run?"


def _with_its_order(seen: Seen) -> Iterator[str]:
    if not seen.waits_for_payment:
        return
    if seen.state in DONE and seen.order_state not in _PAID:
        yield f"it is {seen.state}, but its order is {seen.order_state}"
    if seen.state in UNDONE and seen.order_state == "paid":
        yield f"it is {seen.state}, but its order is paid: refund it, or give the customer what he paid for"


def _with_stock(seen: Seen) -> Iterator[str]:
    """The units of the order, as the journal of stock adds them up."""
    if seen.state in DONE and seen.order_state == "paid" and (seen.held_units or not seen.sold_units):
        yield f"it is {seen.state} and paid, but of its units {seen.sold_units} are sold and {seen.held_units} held"
    if seen.state in UNDONE and seen.order_state == "closed" and (seen.held_units or seen.sold_units):
        yield f"it is {seen.state}, but of its units {seen.sold_units} are sold and {seen.held_units} held"


def outside(step: StepSeen, report: Report) -> str | None:
    """How what a participant remembers differs from what we do; None when it does not."""
    acted, confirmed, undone = (report.get(slot) == "done" for slot in ("forward", "confirm", "back"))
    match step.state:
        case "done":
            return None if acted and not undone else f"we have that it is done, its participant {_words(report)}"
        case "confirmed":
            return None if acted and confirmed else f"we have that it is confirmed, its participant {_words(report)}"
        case "undone" | "waiting" | "refused":
            left = acted and not undone
            return f"we have that nothing of it is left, its participant {_words(report)}" if left else None
        case _:
            return None  # under way, or a person answers for it


def is_forgotten(report: Report) -> bool:
    """Nothing says that it acted, was asked to and did not, or took it back: the rows are no longer kept."""
    return "forward" not in report and "back" not in report


def _words(report: Report) -> str:
    return ", ".join(f"{slot}: {outcome}" for slot, outcome in sorted(report.items())) or "knows nothing of it"


def as_report(answer: str, ok: bool) -> Report | str:
    """What a participant answered to a report; a text when it cannot be used."""
    if not ok:
        return f"its participant does not say what it remembers ({answer[:200]})"
    try:
        return msgspec.json.decode(answer, type=dict[str, str])
    except msgspec.DecodeError:
        return "its participant's report cannot be read"
