"""Tests of whole journeys use a shop at a real channel; those of the API a client with a key."""

from api_side import api, channel_keys
from merchant import merchant, world

__all__ = ["api", "channel_keys", "merchant", "world"]
