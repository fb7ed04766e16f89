"""A coordinator on a database of its own, and services on loopback."""

from transaction_side import shop

__all__ = ["shop"]
