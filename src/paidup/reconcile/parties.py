"""Every account of the accounts folder, with its channel and the rules of the two."""

from collections.abc import Iterable

from paidup.channels.channel import Account
from paidup.channels.registry import CHANNELS
from paidup.errors import InvalidRequest, NotFound
from paidup.reconcile.party import Party
from paidup.reconcile.rules import RuleBook


def parties_of(accounts: Iterable[Account], rules: RuleBook) -> list[Party]:
    """In the order of their names."""
    ordered = sorted(accounts, key=lambda account: (account.channel, account.name))
    return [Party(CHANNELS[account.channel], account, rules.of(account.channel, account.name)) for account in ordered]


def named(parties: Iterable[Party], name: str) -> Party:
    """The party of an account, written ``wechat/main``. Raises NotFound naming those there are."""
    if name.count("/") != 1:
        raise InvalidRequest(f"write the account as channel/account, such as wechat/main, not {name[:60]!r}")
    known = {party.name: party for party in parties}
    if name not in known:
        raise NotFound(f"there is no account {name[:60]}; there are: {', '.join(known) or 'none'}")
    return known[name]
