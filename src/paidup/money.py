"""Money is an integer of minor units with an ISO 4217 currency. There is no float anywhere."""

import re
from decimal import Decimal

import msgspec

from paidup.errors import InvalidRequest

# ISO 4217: how many decimals the major unit has. Everything not named here has two.
WITHOUT_DECIMALS = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())
WITH_THREE_DECIMALS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
CODES = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD "
    "HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD "
    "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN "
    "PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY "
    "TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG".split()
)
"""What an order may be over. Not among them: metals, units of bonds and of account (some of which, such as CLF, have
four decimals), and codes for tests and for none. ANG and BGN were money until lately. What a channel names is not held
to this list: money that came is money that came."""
_PLAIN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
_CURRENCY = re.compile(r"[A-Z]{3}")

MAX_AMOUNT_MINOR = 10**15
"""Larger amounts are refused as a mistake; a bigint column would still hold them."""


class Money(msgspec.Struct, frozen=True, gc=False, order=False):
    """An amount in minor units (fen, cent; yen has none) and its currency."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if not _CURRENCY.fullmatch(self.currency):
            raise InvalidRequest(f"currency {self.currency!r} is not an ISO 4217 code such as CNY or USD")
        if not 0 <= self.amount_minor <= MAX_AMOUNT_MINOR:
            raise InvalidRequest(f"amount_minor {self.amount_minor} is outside 0 … {MAX_AMOUNT_MINOR}")

    def __str__(self) -> str:
        return f"{major(self)} {self.currency}"


def must_be_current(currency: str) -> None:
    """Raises InvalidRequest for a currency in which nobody pays: a slip, found before anybody is asked for money."""
    if currency not in CODES:
        raise InvalidRequest(
            f"currency {currency[:10]!r} is no ISO 4217 code of money in use; send one such as CNY (not RMB) or USD"
        )


def decimals(currency: str) -> int:
    """How many decimals the currency's major unit has: 2 for CNY, 0 for JPY, 3 for KWD."""
    if currency in WITHOUT_DECIMALS:
        return 0
    return 3 if currency in WITH_THREE_DECIMALS else 2


def major(money: Money) -> str:
    """The amount in major units as text: ``Money(1250, "CNY")`` is ``"12.50"``."""
    places = decimals(money.currency)
    return f"{Decimal(money.amount_minor).scaleb(-places):.{places}f}"


def shown(minor: int, currency: str) -> str:
    """A sum with its sign, however large: ``"-12.50 CNY"``. Sums of a day are no amounts of a payment."""
    return f"{Decimal(minor).scaleb(-decimals(currency)):.{decimals(currency)}f} {currency}"


def from_major(text: str, currency: str) -> Money:
    """Read an amount in major units (``"12.50"``).

    Raises InvalidRequest when the text is no plain decimal or has more decimals than the currency.
    """
    if not _PLAIN.fullmatch(text.strip()):
        raise InvalidRequest(f"amount {text[:40]!r} is not a decimal number such as 12.50")
    scaled = Decimal(text.strip()).scaleb(decimals(currency))
    if scaled != scaled.to_integral_value():
        raise InvalidRequest(f"amount {text!r} has more decimals than {currency} allows")
    return Money(int(scaled), currency)
