"""The table `users`. Passwords are kept as argon2id hashes; nobody can read one back."""

from datetime import datetime
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import Conflict, NotFound
from paidup.people.user import Role, User

COLUMNS = """name, role, password_hash IS NOT NULL AS has_password, totp_secret IS NOT NULL AS has_totp, created_at,
disabled_at"""

ADD = f"INSERT INTO users (name, role, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING {COLUMNS}"

LIST = f"SELECT {COLUMNS} FROM users ORDER BY name LIMIT 1000"

GET = f"SELECT {COLUMNS} FROM users WHERE name = $1"

SECRETS = "SELECT password_hash, totp_secret, totp_step FROM users WHERE name = $1 AND disabled_at IS NULL"

# Whoever resets, disables or gives another role changes this row first, and ends the sessions then.
LOCK = SECRETS + " FOR NO KEY UPDATE"

SET_ROLE = f"UPDATE users SET role = $2 WHERE name = $1 RETURNING {COLUMNS}"

SET_PASSWORD = "UPDATE users SET password_hash = $2 WHERE name = $1"  # noqa: S105  the name of a column

SET_TOTP = "UPDATE users SET totp_secret = $2, totp_step = 0 WHERE name = $1"

USE_STEP = "UPDATE users SET totp_step = $2 WHERE name = $1 AND totp_step < $2 RETURNING name"

DISABLE = f"UPDATE users SET disabled_at = $2 WHERE name = $1 RETURNING {COLUMNS}"

RESET = f"""
UPDATE users SET password_hash = NULL, totp_secret = NULL, totp_step = 0, disabled_at = NULL WHERE name = $1
RETURNING {COLUMNS}"""


class Secrets(msgspec.Struct, frozen=True):
    """What a sign-in is compared with. Its repr shows none of it."""

    password_hash: str | None
    totp_secret: str | None
    totp_step: int

    def __repr__(self) -> str:
        return "Secrets(***)"

    def are_those_of(self, other: "Secrets") -> bool:
        """Whether neither the password nor the second factor is another one by now."""
        return (self.password_hash, self.totp_secret) == (other.password_hash, other.totp_secret)


async def add(tx: Tx, name: str, role: Role, now: datetime) -> User:
    """A new user, who cannot sign in before a link was made. Raises Conflict when the name is taken."""
    row = await tx.fetchrow(ADD, name, role, now)
    if row is None:
        raise Conflict(f"there is a user {name} already; `paidup users list` shows them")
    return _user(row)


async def users(tx: Tx) -> list[User]:
    """All users, by name."""
    return [_user(row) for row in await tx.fetch(LIST)]


async def get(tx: Tx, name: str) -> User:
    """One user. Raises NotFound."""
    return _found(await tx.fetchrow(GET, name), name)


async def find(tx: Tx, name: str) -> User | None:
    """One user, or None."""
    row = await tx.fetchrow(GET, name)
    return _user(row) if row else None


async def secrets_of(tx: Tx, name: str) -> Secrets:
    """What to compare a sign-in with; all empty for somebody who may not sign in."""
    row = await tx.fetchrow(SECRETS, name)
    return Secrets(*row) if row else Secrets(None, None, 0)


async def lock(tx: Tx, name: str) -> Secrets:
    """The same, as it stands now and until the transaction ends."""
    row = await tx.fetchrow(LOCK, name)
    return Secrets(*row) if row else Secrets(None, None, 0)


async def set_role(tx: Tx, name: str, role: Role) -> User:
    """From the next request on. Raises NotFound."""
    return _found(await tx.fetchrow(SET_ROLE, name, role), name)


async def set_password(tx: Tx, name: str, password_hash: str) -> None:
    """Keep the hash of a new password."""
    await tx.execute(SET_PASSWORD, name, password_hash)


async def set_totp(tx: Tx, name: str, secret: str) -> None:
    """From now on a code is asked for at sign-in."""
    await tx.execute(SET_TOTP, name, secret)


async def use_step(tx: Tx, name: str, step: int) -> bool:
    """Take a code's step; False when it was taken before: each code works once."""
    return await tx.fetchval(USE_STEP, name, step) is not None


async def disable(tx: Tx, name: str, now: datetime) -> User:
    """Nobody signs in under this name any more. Raises NotFound."""
    return _found(await tx.fetchrow(DISABLE, name, now), name)


async def reset(tx: Tx, name: str) -> User:
    """Forget password and TOTP and enable the user; a fresh link lets them begin anew. Raises NotFound."""
    return _found(await tx.fetchrow(RESET, name), name)


def _found(row: Any, name: str) -> User:
    if row is None:
        raise NotFound(f"there is no user {name}; `paidup users list` shows them")
    return _user(row)


def _user(row: Any) -> User:
    return msgspec.convert(dict(row), User)
