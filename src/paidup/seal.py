"""Fingerprints, by which `verify` names a row that was edited by hand.

Seals carry no key: they catch mistakes and hands, and a forger only if the head that `verify` prints was noted outside
of the database.
"""

from hashlib import blake2b

import msgspec

_encode = msgspec.msgpack.Encoder(order="sorted").encode  # moments as instants, whatever their time zone

SIZE_BYTES = 16


def fingerprint(value: object) -> bytes:
    """16 bytes that follow from the content of a value made of plain types, moments and mappings."""
    return blake2b(_encode(value), digest_size=SIZE_BYTES).digest()


def seal(row: msgspec.Struct) -> bytes:
    """The fingerprint of a row. Empty fields at the end are left out: a field that is added at the end of a row's
    class, with an empty default, does not break the seals of older rows."""
    values = msgspec.structs.astuple(row)
    end = len(values)
    while end and not values[end - 1]:
        end -= 1
    return fingerprint(values[:end])
