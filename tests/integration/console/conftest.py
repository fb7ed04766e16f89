"""A running Paidup with the sandbox beside it."""

from api_side import api, channel_keys

__all__ = ["api", "channel_keys"]
