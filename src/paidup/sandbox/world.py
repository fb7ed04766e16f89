"""The other side as a whole, apart from any server: accounts, ledger, buyers, and what the merchant is to be told.

Nothing here waits: `respond` and `advance` take the time as an argument, so a simulator can drive it step by step.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import msgspec

from paidup.errors import InvalidRequest
from paidup.sandbox.alipay.bill_desk import DOWNLOAD as ALIPAY_DOWNLOAD
from paidup.sandbox.alipay.forms import fields_of
from paidup.sandbox.alipay.provider import NAME as ALIPAY
from paidup.sandbox.alipay.provider import Alipay
from paidup.sandbox.bills import Bills
from paidup.sandbox.buyers import Buyers, visit
from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.keys import Keys
from paidup.sandbox.ledger import DisputeState, Ledger, Refund, RefundState, Trade, TradeState
from paidup.sandbox.stripe.forms import key_of
from paidup.sandbox.stripe.objects import NAME as STRIPE
from paidup.sandbox.stripe.provider import Stripe
from paidup.sandbox.wechat.forms import claims_of
from paidup.sandbox.wechat.provider import NAME as WECHAT
from paidup.sandbox.wechat.provider import Wechat
from paidup.sandbox.wire import Ask, News, Provider, Tell

CHANNELS = (WECHAT, ALIPAY, STRIPE)
_PREFIXES = (("/v3/", WECHAT), ("/gateway.do", ALIPAY), (ALIPAY_DOWNLOAD, ALIPAY), ("/v1/", STRIPE))
_NOBODY = Tell(
    404,
    {"content-type": "text/plain"},
    b"neither WeChat Pay (/v3/), nor Alipay (/gateway.do), nor Stripe (/v1/), nor the sandbox itself (/sandbox/)\n",
)


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How the world behaves. buyers None: nobody pays by himself. refund_s: how long WeChat Pay's refunds take.
    public_key_share: the share of WeChat Pay's notices that are signed by the public key, not by the certificate."""

    faults: Faults = Faults()
    buyers: Buyers | None = None
    refund_s: float = 10.0
    public_key_share: float = 0.5


class World:
    """All accounts of all channels. `news` is what the merchant has yet to be told; who sends it empties it."""

    def __init__(
        self,
        keys: Mapping[str, Keys],
        dice: Dice,
        manners: Manners,
        paidup_url: str,
        bills_of: Callable[[Ledger], Bills] | None = None,
    ) -> None:
        """keys: by the name of the account; callbacks go to ``<paidup_url>/callbacks/<channel>/<name>``. bills_of:
        who makes the bills, when they go wrong otherwise than by the manners."""
        self.manners = manners
        self.dice = dice
        self.ledger = Ledger()
        self.bills = bills_of(self.ledger) if bills_of else self._bills()
        self.news: list[News] = []
        self.counts: Counter[str] = Counter()
        self._providers: dict[tuple[str, str], Provider] = {}
        self._by_identity: dict[tuple[str, str], Provider] = {}
        self._agenda: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._turn = count()
        self._asked: Counter[tuple[str, str, str]] = Counter()
        self._per_second: dict[tuple[str, str], tuple[int, int]] = {}
        self._paying = 0
        for name, own in keys.items():
            self._add(name, own, paidup_url)

    def _bills(self) -> Bills:
        return Bills(self.ledger, self.dice, lambda: self.manners.faults.bill)

    def _add(self, name: str, keys: Keys, paidup_url: str) -> None:
        urls = {channel: f"{paidup_url}/callbacks/{channel}/{name}" for channel in CHANNELS}
        share = self.manners.public_key_share
        books, bills = (self.ledger, self.dice), self.bills
        wechat = Wechat(name, keys.wechat, *books, bills=bills, webhook_url=urls[WECHAT], public_key_share=share)
        alipay = Alipay(name, keys.alipay, *books, bills=bills, webhook_url=urls[ALIPAY])
        stripe = Stripe(name, keys.stripe, *books, bills=bills, webhook_url=urls[STRIPE])
        own: tuple[Provider, ...] = (wechat, alipay, stripe)
        for provider in own:
            self._providers[(provider.channel, name)] = provider
            self._by_identity[(provider.channel, provider.identity)] = provider

    # Requests --------------------------------------------------------------------------------------------------------

    def provider_of(self, ask: Ask) -> Provider | None:
        """Whom a request is addressed to. One that names no known account is for the first to refuse."""
        channel = next((name for prefix, name in _PREFIXES if ask.path.startswith(prefix)), None)
        if channel is None:
            return None
        identity = _identity(channel, ask)
        known = self._by_identity.get((channel, identity))
        return known or next(provider for key, provider in self._providers.items() if key[0] == channel)

    def provider(self, channel: str, account: str) -> Provider:
        """The provider of an account. Raises InvalidRequest."""
        if (channel, account) not in self._providers:
            known = ", ".join("/".join(key) for key in self._providers)
            raise InvalidRequest(f"there is no account {channel}/{account}; there are {known}")
        return self._providers[(channel, account)]

    def occasion(self, provider: Provider, ask: Ask) -> str:
        """A name for this request that does not depend on timing: the nth of its kind about this trade."""
        subject = provider.subject(ask)
        key = (provider.channel, ask.method, subject)
        self._asked[key] += 1
        return f"{provider.channel} {provider.account} {ask.method} {subject} {self._asked[key]}"

    def respond(self, ask: Ask, now: datetime) -> Tell:
        """The channel's honest answer; what it leads to stands on the agenda and in `news`."""
        provider = self.provider_of(ask)
        if provider is None:
            return _NOBODY
        if self._is_too_often(provider, now):
            self.counts[f"{provider.channel} refused as too often"] += 1
            return provider.limited()
        tell, changed = provider.respond(ask, now)
        if isinstance(changed, Refund):
            self._refund_made(changed, now)
        elif changed is not None and changed.state is TradeState.WAITING:
            self._opened(changed)
        elif changed is not None:
            self._tell(changed, now)
        return tell

    def _is_too_often(self, provider: Provider, now: datetime) -> bool:
        limit = self.manners.faults.rate_limit_per_s
        if not limit:
            return False
        key, second = (provider.channel, provider.account), int(now.timestamp())
        before, asked = self._per_second.get(key, (second, 0))
        self._per_second[key] = (second, asked + 1 if before == second else 1)
        return self._per_second[key][1] > limit

    # What happens by itself ------------------------------------------------------------------------------------------

    @property
    def next_at(self) -> datetime | None:
        """When the next thing happens by itself."""
        return self._agenda[0][0] if self._agenda else None

    @property
    def buyers_waiting(self) -> int:
        """Buyers who will still pay by themselves."""
        return self._paying

    def advance(self, now: datetime) -> None:
        """Let everything happen that is due by now, in order."""
        while self._agenda and self._agenda[0][0] <= now:
            at, _, happens = heapq.heappop(self._agenda)
            happens(at)

    def _at(self, moment: datetime, happens: Callable[[datetime], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._turn), happens))

    def _opened(self, trade: Trade) -> None:
        if self.dice.hits(self.manners.faults.forge, "forge", trade.channel, trade.account, trade.merchant_ref):
            soon = self.dice.throw("forged at", trade.merchant_ref).uniform(0.5, 5)
            self._at(trade.opened_at + timedelta(seconds=soon), partial(self._forge, trade))
        if self.manners.buyers is None:
            return
        buyer = visit(self.manners.buyers, self.dice, trade)
        for after_s, does in ((buyer.scans_s, self.scan), (buyer.fails_s, self.fail), (buyer.pays_s, self._pays)):
            if after_s is not None:
                self._at(trade.opened_at + timedelta(seconds=after_s), partial(does, trade))
        self._paying += buyer.pays_s is not None

    def _pays(self, trade: Trade, now: datetime) -> None:
        self._paying -= 1
        self.pay(trade, now)

    def _forge(self, trade: Trade, now: datetime) -> None:
        """A stranger, who holds none of our keys, says that a payment was made."""
        claimed = replace(trade, state=TradeState.PAID, paid_at=now)
        news = self._providers[(trade.channel, trade.account)].news(claimed, now)[-1]
        key = news.key[:4] + self.dice.letters(24, "forged", news.key)
        content = news.content.replace(news.key.encode(), key.encode())
        self.news.append(msgspec.structs.replace(news, forged=True, key=key, content=content))

    def _refund_made(self, refund: Refund, now: datetime) -> None:
        self._tell_refund(refund, now)
        trade = refund.trade
        fails = self.dice.hits(self.manners.faults.refund_fail, "refund fails", trade.channel, refund.merchant_ref)
        state = RefundState.FAILED if fails and trade.channel != ALIPAY else RefundState.SUCCEEDED
        if refund.state is not state:
            later = now + timedelta(seconds=self.manners.refund_s)
            self._at(later, partial(self._ends, refund, refund.state, state))

    def _ends(self, refund: Refund, was: RefundState, state: RefundState, now: datetime) -> None:
        """What is under way ends, but not what somebody has made fail in the meantime: that money may be given back
        again already, by another refund."""
        if refund.state is was:
            self._settle(refund, state, now)

    def _settle(self, refund: Refund, state: RefundState, now: datetime) -> None:
        self.ledger.settle(refund, state, now)
        self._tell_refund(refund, now)

    # What people do --------------------------------------------------------------------------------------------------

    def find(self, channel: str, account: str, merchant_ref: str, now: datetime) -> Trade:
        """A trade by the merchant's number or the channel's. Raises InvalidRequest."""
        self.provider(channel, account)
        trade = self.ledger.named(channel, account, merchant_ref, now)
        trade = trade or self.ledger.numbered(channel, account, merchant_ref, now)
        if trade is None:
            raise InvalidRequest(f"{channel}/{account} has no trade {merchant_ref[:80]!r}")
        return trade

    def scan(self, trade: Trade, now: datetime) -> None:
        """A buyer scans the code, and looks."""
        if self.ledger.may_pay(trade, now):
            trade.seen_at = trade.seen_at or now

    def fail(self, trade: Trade, now: datetime) -> None:
        """A buyer's attempt fails; he may try again."""
        if self.ledger.may_pay(trade, now):
            trade.failed_at = now
            self._tell(trade, now)

    def pay(self, trade: Trade, now: datetime) -> bool:
        """A buyer pays; False when it cannot be paid (any more)."""
        if not self.ledger.pay(trade, now):
            return False
        self._tell(trade, now)
        return True

    def dispute(self, trade: Trade, says: DisputeState, now: datetime) -> None:
        """The buyer's bank disputes, or the dispute ends. Raises InvalidRequest but for paid payments at Stripe."""
        provider = self._providers[(trade.channel, trade.account)]
        if not isinstance(provider, Stripe):
            raise InvalidRequest(f"{trade.channel} knows no disputes; Stripe does")
        if trade.paid_at is None:
            raise InvalidRequest(f"{trade.merchant_ref} was not paid, so nobody disputes it")
        trade.dispute = says
        self._announce(provider, provider.dispute_news(trade, says, now))

    def refund_fails(self, trade: Trade, name: str, now: datetime) -> None:
        """A refund comes back, or does not arrive. Raises InvalidRequest when there is none, when it has failed
        already, or at Alipay."""
        refund = next((it for it in trade.refunds if name in (it.merchant_ref, it.number)), None)
        if refund is None:
            raise InvalidRequest(f"{trade.merchant_ref} has no refund {name[:80]!r}")
        if trade.channel == ALIPAY:
            raise InvalidRequest("at Alipay a refund that succeeded does not come back")
        if refund.state is RefundState.FAILED:
            raise InvalidRequest(f"refund {name[:80]!r} has failed already")
        self._settle(refund, RefundState.FAILED, now)

    def resend(self, trade: Trade, now: datetime) -> None:
        """Tell again of everything, as from the channel's console."""
        self._tell(trade, now)
        for refund in trade.refunds:
            self._tell_refund(refund, now)

    def providers(self) -> Sequence[Provider]:
        """All accounts."""
        return tuple(self._providers.values())

    def _tell(self, trade: Trade, now: datetime) -> None:
        provider = self._providers[(trade.channel, trade.account)]
        self._announce(provider, provider.news(trade, now))

    def _tell_refund(self, refund: Refund, now: datetime) -> None:
        provider = self._providers[(refund.trade.channel, refund.trade.account)]
        self._announce(provider, provider.news(refund, now))

    def _announce(self, provider: Provider, told: Sequence[News]) -> None:
        for one in told:
            provider.happened(one)
        self.news += told


def _identity(channel: str, ask: Ask) -> str:
    """Who the request says it is from; proving it is the provider's matter."""
    if channel == WECHAT:
        return claims_of(ask).get("mchid", "")
    return key_of(ask) if channel == STRIPE else fields_of(ask).get("app_id", "")
