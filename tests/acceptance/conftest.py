"""Commands run beside a Paidup whose channels answer."""

from api_side import api, channel_keys

__all__ = ["api", "channel_keys"]
