"""A user of the console, and what each role may do."""

import re
from datetime import datetime
from enum import StrEnum

import msgspec

from paidup.errors import NotAllowed

NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
"""As the table `users` wants it."""


class Role(StrEnum):
    """What a person does here. Each may also do what a viewer may: look at everything, personal data masked."""

    VIEWER = "viewer"  # looks
    OPERATOR = "operator"  # customer service: asks the channel, replays, re-sends, works on cases
    FINANCE = "finance"  # moves money: confirms, refunds, releases what is held
    APPROVER = "approver"  # agrees to what somebody else asked for
    ADMIN = "admin"  # all of it, and the users


class Right(StrEnum):
    """One thing that a role allows."""

    LOOK = "look"
    REVEAL = "reveal"  # see personal data unmasked; each time stands in the audit
    WORK = "work"  # ask, replay, re-send, claim and resolve cases, close
    MONEY = "money"  # confirm, refund, release
    APPROVE = "approve"
    USERS = "users"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.LOOK}),
    Role.OPERATOR: frozenset({Right.LOOK, Right.REVEAL, Right.WORK}),
    Role.FINANCE: frozenset({Right.LOOK, Right.REVEAL, Right.WORK, Right.MONEY}),
    Role.APPROVER: frozenset({Right.LOOK, Right.REVEAL, Right.APPROVE}),
    Role.ADMIN: frozenset(Right),
}


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `users` without its secrets."""

    name: str
    role: Role
    has_password: bool
    has_totp: bool
    created_at: datetime
    disabled_at: datetime | None

    def may(self, right: Right) -> bool:
        """Whether the user's role allows it."""
        return right in RIGHTS[self.role]


def must_may(user: User, right: Right) -> None:
    """Raises NotAllowed, saying which roles may."""
    must_have(RIGHTS[user.role], right, f" ({user.role})")


def must_have(rights: frozenset[Right], right: Right, role: str = "") -> None:
    """Raises NotAllowed, saying which roles may. role: in brackets, where it is known."""
    if right not in rights:
        roles = ", ".join(role for role, theirs in RIGHTS.items() if right in theirs)
        raise NotAllowed(f"your role{role} may not do this; ask somebody with the role {roles}")
