"""Signing in: by password and code, by a link that opens once, or by the word of the company's own provider."""

import asyncio
from datetime import datetime

from paidup import log
from paidup.db.transaction import Database, Tx
from paidup.errors import NotAllowed, TooSoon
from paidup.people import audit, failures, proof, sessions, store
from paidup.people.audit import Actor
from paidup.people.proof import password_fits, totp_step
from paidup.people.store import Secrets
from paidup.people.user import NAME, Role, User

HASHING = asyncio.Semaphore(2)
"""Password hashes under way: each takes 64 MiB, and a core for tens of milliseconds."""


_BY_LINK = "link:"
"""Codes beside a link are counted apart: who is locked out by a stranger's guesses gets in by a link."""


async def by_password(
    db: Database, name: str, password: str, code: str, *, source: str, now: datetime, wall: datetime, rate: float = 1.0
) -> str:
    """Sign in; returns the session's token.

    wall: the time on the wall, which is what authenticator apps go by (`now` may be a demonstration's). Raises
    NotAllowed, always with the same words, and TooSoon when this name or address has failed too often.
    """
    async with db.transaction() as tx:
        await _must_not_guess(tx, name, source, now, rate)
        secrets = await store.secrets_of(tx, name)
    fits = await _fits(password, secrets)
    step = totp_step(code, secrets.totp_secret, wall) if secrets.totp_secret else 0
    async with db.transaction() as tx:
        fits = fits and secrets.are_those_of(await store.lock(tx, name))  # a reset may have come meanwhile
        if fits and step is not None and (step == 0 or await store.use_step(tx, name, step)):
            await failures.forgive(tx, name, source, now)
            return await _begin(tx, name, source, now, "password", rate)
    log.warning("sign_in.refused", name=name[:64], source=source)
    raise NotAllowed("name, password or code is wrong")


async def change_password(
    db: Database, name: str, old: str, new: str, *, token: str, source: str, now: datetime, rate: float = 1.0
) -> None:
    """Another password for whoever is signed in as this session; their other sessions end. Who has none yet need not
    know it.

    Raises InvalidRequest for a password that cannot be one, NotAllowed when the old one is wrong or the session has
    ended meanwhile, and TooSoon for whoever guesses, who is not let guess at the door either.
    """
    proof.must_do(new)
    async with db.transaction() as tx:
        secrets = await store.secrets_of(tx, name)
        if secrets.password_hash:
            await _must_not_guess(tx, name, source, now, rate)
    if secrets.password_hash and not await _fits(old, secrets):
        log.warning("password.refused", name=name, source=source)
        raise NotAllowed("the present password is wrong")
    async with HASHING:
        hashed = await asyncio.to_thread(proof.hash_password, new)
    async with db.transaction() as tx:
        await store.lock(tx, name)
        if await sessions.find(tx, token, now, rate=rate) is None:
            raise NotAllowed("you were signed out meanwhile; sign in again")
        await failures.forgive(tx, name, source, now)
        await store.set_password(tx, name, hashed)
        await sessions.end_all(tx, name, but=token)
        await audit.write(tx, Actor(name, "console"), "user.password_changed", now, subject_id=name)


async def _fits(password: str, secrets: Secrets) -> bool:
    async with HASHING:
        return await asyncio.to_thread(password_fits, password, secrets.password_hash)


async def by_link(
    db: Database, token: str, code: str, *, source: str, now: datetime, wall: datetime, rate: float = 1.0
) -> str:
    """Sign in by a link; returns the session's token. Who has a second factor must show it: a link proves only that an
    admin made it.

    Raises NotAllowed when it was used or has expired, or the code is wrong, after which it can still be used; and
    TooSoon for too many codes.
    """
    async with db.transaction() as tx:
        link = await sessions.find_link(tx, token, now)
        if link is None or (await store.get(tx, link.name)).disabled_at is not None:
            raise _gone()
        guessed, secret = _BY_LINK + link.name, (await store.secrets_of(tx, link.name)).totp_secret
        if secret:
            await _must_not_guess(tx, guessed, _BY_LINK + source, now, rate)
    step = totp_step(code, secret, wall) if secret else 0
    async with db.transaction() as tx:
        await store.lock(tx, link.name)
        if step is None or (step and not await store.use_step(tx, link.name, step)):
            log.warning("sign_in.refused", name=link.name, source=source)
            raise NotAllowed("the code is wrong; look at the clock of your phone, and try again")
        used = await sessions.use_link(tx, token, now)
        if used is None:
            raise _gone()
        await failures.forgive(tx, guessed, _BY_LINK + source, now)
        return await _begin(tx, used.name, source, now, "link", rate, let_in_by=used.made_by)


def _gone() -> NotAllowed:
    return NotAllowed("this link was used already or has expired; ask an admin for a new one")


async def asks_code(tx: Tx, token: str, now: datetime) -> bool:
    """Whether whoever opens this link must show a code, too."""
    link = await sessions.find_link(tx, token, now)
    return link is not None and (await store.secrets_of(tx, link.name)).totp_secret is not None


async def _must_not_guess(tx: Tx, name: str, source: str, now: datetime, rate: float) -> None:
    if not await failures.begin(tx, name, source, now, rate=rate):
        log.warning("sign_in.limited", source=source)
        raise TooSoon("too many attempts from here; wait five minutes, or ask an admin for a sign-in link")


async def by_provider(
    db: Database, name: str, role: Role | None, *, source: str, now: datetime, rate: float = 1.0
) -> str:
    """Sign in whom the provider of identities vouches for; returns the session's token.

    role: what the provider says they are; whoever is not here yet is added as that. None: what they are here stands,
    and only who is here already signs in. An admin stays an admin unless the provider names admins, too: that is up to
    the caller. Raises NotAllowed.
    """
    async with db.transaction() as tx:
        user = await store.find(tx, name)
        if user is not None and user.disabled_at is not None:
            raise NotAllowed(f"{name[:64]} is disabled here; an admin can reset it: paidup users reset")
        if role is not None:
            await _give_role(tx, user, name, role, now)
        elif user is None:
            raise NotAllowed(f"there is no user {name[:64]} here; an admin adds them: paidup users add")
        return await _begin(tx, name, source, now, "the provider of identities", rate)


async def _give_role(tx: Tx, user: User | None, name: str, role: Role, now: datetime) -> None:
    if not NAME.fullmatch(name):
        raise NotAllowed(f"{name[:64]!r} cannot be a name here: it takes a-z, 0-9 and . _ @ -, and at most 64 of them")
    actor = Actor("provider", "console")
    if user is None:
        await store.add(tx, name, role, now)
        await audit.write(tx, actor, "user.added", now, subject_id=name, after=role)
    elif user.role != role:
        await store.set_role(tx, name, role)
        await sessions.end_all(tx, name)
        await audit.write(tx, actor, "user.role_changed", now, subject_id=name, before=user.role, after=role)


async def _begin(
    tx: Tx, name: str, source: str, now: datetime, how: str, rate: float, *, let_in_by: str = ""
) -> str:  # fmt: skip
    made = f" of {let_in_by}" if let_in_by else ""
    why = f"by {how}{made} from {source}"
    await audit.write(tx, Actor(name, "console"), "user.signed_in", now, subject_id=name, why=why)
    return await sessions.begin(tx, name, source, now, rate=rate, let_in_by=let_in_by)
