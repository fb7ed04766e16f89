"""Tests of whole journeys use a shop at a real channel."""

from merchant import merchant, world
from transaction_side import shop

__all__ = ["merchant", "shop", "world"]
