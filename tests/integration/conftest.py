"""Tests of whole journeys use a shop at a real channel."""

from merchant import merchant, world

__all__ = ["merchant", "world"]
