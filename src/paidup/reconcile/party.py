"""Whose bill is reconciled."""

from typing import Any

import msgspec

from paidup.channels.channel import Account, Channel
from paidup.reconcile.rules import Rules


class Party(msgspec.Struct, frozen=True):
    """Whose bill it is: the channel, the account there, and the rules of the two."""

    channel: Channel[Any]
    account: Account
    rules: Rules

    @property
    def name(self) -> str:
        """As people write it: ``wechat/main``."""
        return f"{self.account.channel}/{self.account.name}"
