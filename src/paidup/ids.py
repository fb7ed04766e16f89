"""Identifiers: sortable by time, readable over the phone, carrying their shard.

A payment id goes to the channels as the merchant's order number, so it keeps to the narrowest rule among them:
letters and digits only, at most 32 characters (WeChat Pay's out_trade_no; UnionPay allows no underscore).

    pay 0 1 1v8k2m3q9 x7c0d1e2f3g4h5j6
    │   │   │         └ 16 characters of chance
    │   │   └ milliseconds since 1970, 9 characters
    │   └ shard, two characters of base 32
    └ what it names
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
MAX_CHARS = 32
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_RANDOM_CHARS = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_SHARD = 32 * 32 - 1


class Chance(Protocol):
    """Where chance comes from."""

    def token_bytes(self, nbytes: int, /) -> bytes:
        """So many bytes."""
        ...

    def randbelow(self, exclusive_upper_bound: int, /) -> int:
        """A number from 0 on, below this."""
        ...


_chance_source: Chance = secrets

ORDER, PAYMENT, REFUND, EVENT, CALLBACK, CASE, ENDPOINT, CALL, SKU = (
    "ord", "pay", "ref", "evt", "cbk", "cas", "ept", "cal", "sku",
)  # fmt: skip


def new_id(kind: str, now: datetime, shard: int = 0) -> str:
    """A fresh 30-character id of this kind, for example ``pay00...``; later ids sort after earlier ones."""
    return f"{kind}{_place(shard, int(now.timestamp() * 1000))}{_chance()}"


def last_of(kind: str) -> str:
    """What sorts after every id of this kind, whatever the shard, also where a database sorts by the rules of a
    language: marks come before letters there, so it is made of letters alone."""
    return f"{kind}{ALPHABET[-1] * MAX_CHARS}"


def first_of(kind: str, at: datetime, shard: int = 0) -> str:
    """What sorts before every id of this kind and shard that is made from this millisecond on, and after all older."""
    return f"{kind}{_place(shard, int(at.timestamp() * 1000))}"


class Series:
    """Ids of one batch: they share their moment and 60 bits of chance, and count up behind them (to a million).

    Those of one kind and shard ascend, so that each is added at the end of an index.
    """

    def __init__(self, now: datetime) -> None:
        self._head = _place(0, int(now.timestamp() * 1000))[2:] + _chance()[:-4]
        self._next = 0

    def new_id(self, kind: str, *, like: str | None = None) -> str:
        """The next one. like: an id whose shard it carries."""
        n, self._next = self._next, self._next + 1
        return f"{kind}{like[3:5] if like else '00'}{self._head}{_PAIRS[n >> 10]}{_PAIRS[n & 1023]}"


def derived_id(kind: str, payment_id: str, cause: str) -> str:
    """An id that follows from a payment and a cause, so that doing the same thing twice names the same thing."""
    digest = hashlib.sha256(f"{payment_id}/{cause}".encode()).digest()
    return f"{kind}{payment_id[3:14]}{_base32(int.from_bytes(digest[:10]), _RANDOM_CHARS)}"


def shard_of(identifier: str) -> int:
    """The shard that an id carries, so that whatever quotes it can be routed without a look-up."""
    high, low = (ALPHABET.index(char) for char in identifier[3:5])
    return high * 32 + low


def made_at(identifier: str) -> datetime:
    """The millisecond in which an id of ours was made, so that what it names is looked for in that day's partition."""
    at_ms = 0
    for char in identifier[5:14]:
        at_ms = at_ms << 5 | ALPHABET.index(char)
    return _EPOCH + timedelta(milliseconds=at_ms)


def take_chance_from(source: Chance) -> Chance:
    """Replace the operating system's chance, for the whole process; returns what it replaces.

    For the simulator only, whose runs must repeat: a server that did this would give out keys that can be guessed.
    """
    global _chance_source  # the one seam; tests/simulator holds who may use it
    before, _chance_source = _chance_source, source
    return before


def new_secret(size_bytes: int = 32) -> bytes:
    """Bytes nobody can guess, for keys and signing secrets."""
    return _chance_source.token_bytes(size_bytes)


def spread(share: float = 0.1) -> float:
    """A factor between 1 − share and 1 + share, so that retries do not all come at once."""
    return 1 + share * (_chance_source.randbelow(2001) - 1000) / 1000


def _chance() -> str:
    return _base32(int.from_bytes(_chance_source.token_bytes(_RANDOM_CHARS * 5 // 8)), _RANDOM_CHARS)


@lru_cache(maxsize=256)  # all ids of a batch share their shard and their millisecond
def _place(shard: int, at_ms: int) -> str:
    return _base32(shard, 2) + _base32(at_ms, 9)


def _base32(number: int, width: int) -> str:
    pairs = [_PAIRS[number >> shift & 1023] for shift in range(10 * ((width - 1) // 2), -1, -10)]
    return "".join(pairs)[-width:]
