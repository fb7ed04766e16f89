"""A page on which something is done by hand: what it is about, what will happen, the fields, and one button."""

from collections.abc import Mapping, Sequence

import msgspec
from starlette.responses import Response

from paidup import ids
from paidup.console.gate import Visit
from paidup.console.pages import go, page
from paidup.diagnosis.verdict import Said
from paidup.hand.done import Done
from paidup.money import Money
from paidup.people.audit import Actor
from paidup.people.user import RIGHTS

WHY = "Why"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the form. kind: text, number, or choice; choices: (value, label)."""

    title: str
    name: str
    value: str = ""
    hint: str = ""
    kind: str = "text"
    choices: Sequence[tuple[str, str]] = ()
    needed: bool = True


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """The page. step "preview" leads to the same page with everything filled in; "do" does it.
    about: an id; number, money: of the order and payment that it is about, as people know them."""

    title: str
    path: str
    back: str
    button: str
    about: str = ""
    number: str = ""
    money: Money | None = None
    will: Sequence[Said] = ()
    because: str = ""
    fields: Sequence[Field] = ()
    hidden: Mapping[str, str] = {}
    step: str = "do"
    danger: bool = False


def reason(hint: str = "It stands in the audit, for the colleague who asks in a year.") -> Field:
    """The field in which people say why."""
    return Field(title=WHY, name="why", hint=hint)


def show(visit: Visit, deed: Deed) -> Response:
    """The page; its key makes sending it twice harmless."""
    key = visit.form.text("key") or ids.new_id("key", visit.context.clock.now())
    return page(visit.visitor, visit.context.clock.now(), "deed.html", {"deed": deed, "key": key})


def actor(visit: Visit) -> Actor:
    """Who does it, for the audit."""
    user = visit.visitor.user
    rights = RIGHTS[user.role] if user else frozenset()
    return Actor(visit.who, "console", rights, let_in_by=visit.visitor.let_in_by)


def after(visit: Visit, back: str, done: Done | str) -> Response:
    """Back, with one line that says what became of it."""
    if isinstance(done, Done) and done.state == "waiting":
        return go(visit.visitor, f"/approvals/{done.approval_id}?done=asked")
    code = done if isinstance(done, str) else done.state
    return go(visit.visitor, f"{back}?done={code}")
