"""What an admin does to users: add, give a role, disable, reset, make a sign-in link. Each stands in the audit."""

from datetime import datetime

from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest
from paidup.people import audit, sessions, store
from paidup.people.audit import Actor
from paidup.people.user import NAME, Right, Role, User


async def add(tx: Tx, actor: Actor, name: str, role: Role, now: datetime, *, rate: float = 1.0) -> str:
    """A new user; returns the token of the link with which they begin. rate: of the clock.

    Raises InvalidRequest for a name that cannot be one, and Conflict for one that is taken.
    """
    actor.must_have(Right.USERS)
    if not NAME.fullmatch(name):
        raise InvalidRequest(f"{name[:64]!r} cannot be a name: it takes a-z, 0-9 and . _ @ -, and at most 64 of them")
    await store.add(tx, name, role, now)
    await audit.write(tx, actor, "user.added", now, subject_id=name, after=role)
    return await _link(tx, actor, name, now, rate)


async def give_role(tx: Tx, actor: Actor, name: str, role: Role, now: datetime) -> User:
    """Another role, for which they sign in anew. Raises NotFound, and Conflict for one's own."""
    _must_be_somebody_else(actor, name)
    before = await store.get(tx, name)
    after = await store.set_role(tx, name, role)
    await sessions.end_all(tx, name)
    await audit.write(tx, actor, "user.role_changed", now, subject_id=name, before=before.role, after=role)
    return after


async def disable(tx: Tx, actor: Actor, name: str, now: datetime) -> User:
    """Their sessions end at once, and nobody signs in under this name. Raises NotFound, and Conflict for one's own."""
    _must_be_somebody_else(actor, name)
    after = await store.disable(tx, name, now)
    await sessions.end_all(tx, name)
    await audit.write(tx, actor, "user.disabled", now, subject_id=name, before=after.role, after="disabled")
    return after


async def reset(tx: Tx, actor: Actor, name: str, now: datetime, *, rate: float = 1.0) -> str:
    """Forget password and second factor, enable them again; returns a link's token. Raises NotFound."""
    actor.must_have(Right.USERS)
    user = await store.reset(tx, name)
    await sessions.end_all(tx, name)
    await audit.write(tx, actor, "user.reset", now, subject_id=name, after=user.role)
    return await _link(tx, actor, name, now, rate)


async def make_link(tx: Tx, actor: Actor, name: str, now: datetime, *, rate: float = 1.0) -> str:
    """The token of a link that signs them in once. Raises NotFound, and Conflict for somebody who is disabled."""
    actor.must_have(Right.USERS)
    if (await store.get(tx, name)).disabled_at is not None:
        raise Conflict(f"{name} is disabled and cannot sign in; a reset brings them back: paidup users reset {name}")
    await audit.write(tx, actor, "user.link_made", now, subject_id=name)
    return await _link(tx, actor, name, now, rate)


async def _link(tx: Tx, actor: Actor, name: str, now: datetime, rate: float) -> str:
    """Whoever has a shell has the database: the command line lets nobody in who could not be let in without it."""
    is_anothers = actor.via != "cli" and actor.who != name
    return await sessions.make_link(tx, name, now, rate=rate, made_by=actor.who if is_anothers else "")


def link_of(public_url: str, token: str, base: str = "/console") -> str:
    """The address that a token is opened at. base: where the console is mounted."""
    return f"{public_url}{base}/link?token={token}"


def _must_be_somebody_else(actor: Actor, name: str) -> None:
    actor.must_have(Right.USERS)
    if actor.who == name:
        raise Conflict("somebody else must do this to your own user, so that an admin is always left")
