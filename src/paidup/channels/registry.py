"""The channels Paidup speaks, by name."""

from collections.abc import Mapping
from typing import Any, Final

from paidup.channels.alipay import ALIPAY
from paidup.channels.channel import Channel
from paidup.channels.stripe import STRIPE
from paidup.channels.wechat import WECHAT
from paidup.errors import NotFound

# Each channel has an account type of its own; whoever takes both from the same name has a pair that fits.
CHANNELS: Final[Mapping[str, Channel[Any]]] = {known.name: known for known in (ALIPAY, STRIPE, WECHAT)}


def channel(name: str) -> Channel[Any]:
    """The channel of this name. Raises NotFound naming the ones there are."""
    if name not in CHANNELS:
        raise NotFound(f"no channel {name!r}; known are {', '.join(sorted(CHANNELS))}")
    return CHANNELS[name]
