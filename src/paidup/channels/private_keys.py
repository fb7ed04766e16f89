"""Reading private keys. OpenSSL proves the primes of each, which takes 60 ms: one that was read is not read again,
however often its folder is."""

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

_MOST = 256
"""So many are kept; each account has one, and a second one while it is changed. One that was taken out of the folder
signs nothing any more, but may stay in this process's memory until it ends."""


@lru_cache(_MOST)
def read_pem(content: bytes) -> PrivateKeyTypes:
    """An unencrypted key in PEM form. Raises ValueError, TypeError when it is encrypted, and UnsupportedAlgorithm."""
    return load_pem_private_key(content, None)


@lru_cache(_MOST)
def read_der(content: bytes) -> PrivateKeyTypes:
    """An unencrypted key in DER form. Raises as read_pem does."""
    return load_der_private_key(content, None)
