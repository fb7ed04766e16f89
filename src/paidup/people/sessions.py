"""The tables `sessions` and `sign_in_links`: who is signed in where. Tokens are kept as SHA-256 only: each is 256 bits
of chance, so a slow hash would add nothing."""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.people.user import User

LASTS = timedelta(hours=12)
IDLE = timedelta(hours=1)
LINK_LASTS = timedelta(minutes=30)
_SEEN_EVERY = timedelta(minutes=1)


class Session(msgspec.Struct, frozen=True):
    """A live session and whose it is. let_in_by: the other user whose link opened it; empty: its owner proved who they
    are."""

    user: User
    created_at: datetime
    expires_at: datetime
    let_in_by: str = ""


class Link(msgspec.Struct, frozen=True):
    """Whom a sign-in link lets in, and which other user made it."""

    name: str
    made_by: str


BEGIN = """
INSERT INTO sessions (token_hash, name, created_at, seen_at, expires_at, source, let_in_by)
VALUES ($1, $2, $3, $3, $4, $5, $6)"""

FIND = """
SELECT s.created_at, s.seen_at, s.expires_at, s.let_in_by, u.name, u.role, u.password_hash IS NOT NULL AS has_password,
  u.totp_secret IS NOT NULL AS has_totp, u.created_at AS user_since, u.disabled_at
FROM sessions s JOIN users u ON u.name = s.name
WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.seen_at > $3 AND u.disabled_at IS NULL"""

SEEN = "UPDATE sessions SET seen_at = $2 WHERE token_hash = $1"

OFFER = """
UPDATE sessions SET offered_totp = coalesce(offered_totp, $2) WHERE token_hash = $1 RETURNING offered_totp"""

OFFERED = "SELECT offered_totp FROM sessions WHERE token_hash = $1"

END = "DELETE FROM sessions WHERE token_hash = $1"

END_ALL = "DELETE FROM sessions WHERE name = $1 AND token_hash <> $2"

MAKE_LINK = "INSERT INTO sign_in_links (token_hash, name, made_at, expires_at, made_by) VALUES ($1, $2, $3, $4, $5)"

LINK = "SELECT name, made_by FROM sign_in_links WHERE token_hash = $1 AND expires_at > $2"

USE_LINK = "DELETE FROM sign_in_links WHERE token_hash = $1 AND expires_at > $2 RETURNING name, made_by"

DROP_LINKS = "DELETE FROM sign_in_links WHERE name = $1"

PRUNE = "DELETE FROM sessions WHERE expires_at < $1"

PRUNE_LINKS = "DELETE FROM sign_in_links WHERE expires_at < $1"


async def begin(tx: Tx, name: str, source: str, now: datetime, *, rate: float = 1.0, let_in_by: str = "") -> str:
    """Sign somebody in; returns the token that their browser keeps. rate: of the clock, whose hours may be shorter.
    let_in_by: the other user whose link it was."""
    token = _new_token()
    await tx.execute(BEGIN, _hash(token), name, now, now + LASTS * rate, source[:80], let_in_by)
    return token


async def find(tx: Tx, token: str, now: datetime, *, rate: float = 1.0) -> Session | None:
    """The live session of a token; looking keeps it from going idle."""
    row = await tx.fetchrow(FIND, _hash(token), now, now - IDLE * rate)
    if row is None:
        return None
    if now - row["seen_at"] > _SEEN_EVERY * rate:
        await tx.execute(SEEN, _hash(token), now)
    return Session(_user(row), row["created_at"], row["expires_at"], row["let_in_by"])


async def offer_totp(tx: Tx, token: str, secret: str) -> str:
    """The secret that this session is shown: the first one, however often it looks."""
    return await tx.fetchval(OFFER, _hash(token), secret) or secret


async def offered_totp(tx: Tx, token: str) -> str | None:
    """The secret that this session was shown; None when it was shown none."""
    return await tx.fetchval(OFFERED, _hash(token))  # type: ignore[no-any-return]  # the column is text


async def end(tx: Tx, token: str) -> None:
    """Sign out."""
    await tx.execute(END, _hash(token))


async def end_all(tx: Tx, name: str, *, but: str = "") -> None:
    """Sign somebody out everywhere, except for the session `but`; open links end, too."""
    await tx.execute(END_ALL, name, _hash(but))
    await tx.execute(DROP_LINKS, name)


async def make_link(tx: Tx, name: str, now: datetime, *, rate: float = 1.0, made_by: str = "") -> str:
    """A token that signs this user in once, within half an hour. made_by: the other user who makes it; empty: somebody
    with a shell, or the user."""
    token = _new_token()
    await tx.execute(MAKE_LINK, _hash(token), name, now, now + LINK_LASTS * rate, made_by)
    return token


async def find_link(tx: Tx, token: str, now: datetime) -> Link | None:
    """Whom a link would let in; None when it was used, has expired, or never was."""
    row = await tx.fetchrow(LINK, _hash(token), now)
    return Link(*row) if row else None


async def use_link(tx: Tx, token: str, now: datetime) -> Link | None:
    """The same, once: the link is gone afterwards."""
    row = await tx.fetchrow(USE_LINK, _hash(token), now)
    return Link(*row) if row else None


async def prune(tx: Tx, now: datetime) -> None:
    """Forget what has expired."""
    await tx.execute(PRUNE, now)
    await tx.execute(PRUNE_LINKS, now)


def csrf_of(token: str) -> str:
    """What a form of this session carries: only who can read the session's cookie can compute it."""
    return _text(hashlib.sha256(b"csrf/" + token.encode()).digest())


def _new_token() -> str:
    return _text(ids.new_secret())


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _user(row: Any) -> User:
    fields = {name: row[name] for name in ("name", "role", "has_password", "has_totp", "disabled_at")}
    return msgspec.convert(fields | {"created_at": row["user_since"]}, User)
