"""Tests of the API use a running Paidup and a client with a key."""

from api_side import api, channel_keys

__all__ = ["api", "channel_keys"]
