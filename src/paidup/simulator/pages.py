"""Runs in which customers pay on pages: Alipay's, which a trade is made of only when somebody follows it, and which
cannot be closed before; Stripe's Checkout, which has an id of its own; WeChat Pay's inside its app and in a browser.

Seeds from PAGES_FROM on have them, and are sales as well. The stories of the seeds below are as they were.
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from paidup.sandbox.ledger import Trade
from paidup.sandbox.stripe.objects import session_of
from paidup.simulator.script import METHODS, Offer, Plan, Script

PAGES_FROM = 400_000
CURRENCY = "CNY"
WAYS: Mapping[str, tuple[str, ...]] = {
    "wechat": ("jsapi", "h5"),
    "alipay": ("page", "precreate"),
    "stripe": ("checkout",),
}
EXTRA: Mapping[str, Mapping[str, str]] = {
    "jsapi": {"openid": "oUpF8uMuAJO_M2pxb1Q9z"},
    "h5": {"payer_client_ip": "10.0.0.7"},
    "page": {"return_url": "https://shop.example/thanks"},
    "checkout": {"return_url": "https://shop.example/thanks"},
}
BY_THE_SHOP = ("SELF", "pi_self", session_of("pi_self"))
"""How the numbers begin under which the shop opens something at a channel by itself."""
ENOUGH = 4
"""There are units for every order: how long a page holds them back is the matter here, not who gets them."""
_SESSION_LIVES = timedelta(days=1)
_DIGITS = 18  # with them a session's id is as long as Stripe's
_NUMBERS = {"wechat": "42000", "alipay": "2026", "stripe": "pi_"}
_AT_ALIPAY = {"page": "page.pay"}


def with_pages(seed: int, script: Script) -> Script:
    """The script of this seed with how each offer is paid, and when its page is followed."""
    if seed < PAGES_FROM:
        return script
    dice = random.Random(f"pages/{seed}")  # noqa: S311 - a story, not a secret
    plans = [
        msgspec.structs.replace(plan, offers=tuple(_on_a_page(dice, plan, offer) for offer in plan.offers))
        for plan in script.plans
    ]
    return msgspec.structs.replace(script, plans=tuple(plans), hot_units=script.hot_units * ENOUGH)


def _on_a_page(dice: random.Random, plan: Plan, offer: Offer) -> Offer:
    """Mostly followed at once, some late or when the page has died, some never. Many shops go on opening payments by
    themselves, and theirs may outlive the order."""
    method, ever = dice.choice(WAYS[offer.channel]), dice.random() < 0.9
    follows_s = dice.choice((1.0, 1.0, dice.uniform(1, 60), dice.uniform(1, plan.ttl_s * 1.1)))
    says_when = method == "page" or dice.random() < 0.5
    on_a_page = msgspec.structs.replace(
        offer,
        method=method,
        follows_s=follows_s if ever else None,
        says_when=says_when and method != "checkout",
        fails_s=dice.uniform(5, 300) if offer.pays_s is None and dice.random() < 0.5 else offer.fails_s,
    )
    is_by_the_shop = offer.registered_s is not None or dice.random() < 0.3
    return _by_the_shop(dice, plan, on_a_page) if is_by_the_shop else on_a_page


def _by_the_shop(dice: random.Random, plan: Plan, offer: Offer) -> Offer:
    """Some customers look, and pay, when the order has ended."""
    lives, is_late = dice.choice((1.0, 1.5, 3.0)), dice.random() < 0.4
    pays_s = dice.uniform(0.8, lives) * plan.ttl_s if is_late else offer.pays_s
    return msgspec.structs.replace(
        offer,
        registered_s=dice.choice((1.0, dice.uniform(1, 600))),
        lives=lives,
        pays_s=pays_s,
        scans_s=pays_s - dice.uniform(1, 60) if is_late and pays_s is not None else offer.scans_s,
    )


def method_of(offer: Offer) -> str:
    """How it is paid at its channel."""
    return offer.method or METHODS[offer.channel]


def asked_for(offer: Offer) -> dict[str, object]:
    """What the shop's request for it says."""
    method = method_of(offer)
    body: dict[str, object] = {"channel": offer.channel, "method": method}
    return body | {"extra": EXTRA[method]} if method in EXTRA else body


def opened_by_the_shop(plan: Plan, n: int, now: datetime) -> Trade:
    """What the shop opens at the channel with code of its own: Stripe has no number of the merchant's."""
    offer, method = plan.offers[n], method_of(plan.offers[n])
    number = f"{_NUMBERS[offer.channel]}self{plan.name}x{n}"
    expires_at = None if offer.channel == "stripe" else now + timedelta(seconds=plan.ttl_s * offer.lives)
    ref = number if offer.channel == "stripe" else f"SELF{plan.name}x{n}"
    if method == "checkout":
        number = f"pi_self{plan.name.rjust(_DIGITS, '0')}x{n}"
        ref, expires_at = session_of(number), now + _SESSION_LIVES
    return Trade(
        channel=offer.channel, account="main", merchant_ref=ref, number=number, amount_minor=plan.amount_minor,
        currency=CURRENCY, method=_AT_ALIPAY.get(method, method), opened_at=now, expires_at=expires_at,
    )  # fmt: skip


def told_of(offer: Offer, trade: Trade) -> dict[str, object]:
    """What the shop says of it when it registers it: until when it can be paid, if it is a shop that says so."""
    body: dict[str, object] = {
        "channel": offer.channel, "method": method_of(offer), "merchant_ref": trade.merchant_ref,
    }  # fmt: skip
    if offer.says_when and trade.expires_at is not None:
        body["expires_at"] = trade.expires_at.isoformat()
    return body
