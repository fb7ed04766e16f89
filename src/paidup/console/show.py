"""How values are shown to one reader: words in their language, money and dates as they write them, in their zone."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_currency, format_decimal, get_currency_precision

from paidup.console.journal_zh import in_chinese
from paidup.console.visitor import Visitor
from paidup.console.words_en import STATES
from paidup.console.words_en import WORDS as ENGLISH
from paidup.console.words_zh import WORDS as CHINESE
from paidup.diagnosis.verdict import Said, Value
from paidup.money import Money, decimals

_STANDING = re.compile(rf"\b(?P<what>order|payment|refund) (?:{'|'.join(sorted(STATES))})\b")
SAYS = {
    "not_found": "it does not know the payment",
    "waiting": "nobody has paid",
    "failed": "an attempt failed",
    "closed": "it is closed",
}
CHANNELS = {"wechat": "WeChat Pay", "alipay": "Alipay", "stripe": "Stripe"}


class Show:
    """The words and figures of one page. now: the clock's, for what is relative."""

    def __init__(self, visitor: Visitor, now: datetime) -> None:
        self._visitor = visitor
        self._now = now.astimezone(visitor.zone)

    def t(self, text: str, **values: object) -> str:
        """The text in the reader's language; {names} are filled in."""
        known = CHINESE if self._visitor.language == "zh" else ENGLISH
        said = known.get(text, text)
        return said.format(**values) if values else said

    def world(self, text: str) -> str:
        """A sentence of the journal: those of the state tables are translated, what a channel wrote stays as it is."""
        if self._visitor.language != "zh":
            return text
        return in_chinese(text)

    def deed(self, action: str) -> str:
        """What somebody did by hand; an action without a name shows as it is."""
        return self.t(f"deed {action}").removeprefix("deed ")

    def moved(self, text: str) -> str:
        """``order unpaid, payment open → order paid, payment paid``, in words; what a person wrote stays as it is."""
        return _STANDING.sub(lambda found: self.t(found["what"]) + " " + self.t(found[0]).lower(), text)

    def said(self, said: Said) -> str:
        """A sentence of a diagnosis."""
        return self.t(said.text, **{name: self._value(value) for name, value in said.values.items()})

    def _value(self, value: Value) -> str:
        if isinstance(value, Money):
            return self.money(value)
        if isinstance(value, datetime):
            return self.at(value)
        return (
            self.world(CHANNELS.get(value) or SAYS.get(value, value)) if isinstance(value, str) else self.number(value)
        )

    def channel(self, name: str) -> str:
        """A channel by the name people know."""
        return self.world(CHANNELS.get(name, name))

    def money(self, money: Money) -> str:
        """An amount with its currency's sign."""
        return self.signed(money.amount_minor, money.currency)

    def signed(self, minor: int, currency: str) -> str:
        """A sum, a difference, or money that went out, with its sign, however large."""
        amount = abs(Decimal(minor).scaleb(-decimals(currency)))
        exact = get_currency_precision(currency) == decimals(currency)
        shown = format_currency(
            amount, currency, locale=self._visitor.locale, currency_digits=exact, decimal_quantization=False
        )
        return ("−" if minor < 0 else "") + shown.replace("\xa0", " ")

    def number(self, number: int | Decimal) -> str:
        """A count, grouped."""
        return format_decimal(number, locale=self._visitor.locale)

    def at(self, moment: datetime) -> str:
        """A moment in the reader's zone: the time today, else with its date."""
        local = moment.astimezone(self._visitor.zone)
        if local.date() == self._now.date():
            return f"{local:%H:%M:%S}"
        pattern = "d MMM" if local.year == self._now.year else "d MMM y"
        if self._visitor.language == "zh":
            pattern = "M月d日" if local.year == self._now.year else "y年M月d日"
        return f"{format_datetime(local, pattern, locale=self._visitor.locale)}, {local:%H:%M:%S}"

    def full(self, moment: datetime) -> str:
        """A moment with date, milliseconds and zone."""
        local = moment.astimezone(self._visitor.zone)
        return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03} {local.tzname()}"

    def dated(self, moment: datetime) -> str:
        """A moment with its date, always."""
        return f"{moment.astimezone(self._visitor.zone):%Y-%m-%d %H:%M:%S}"

    def iso(self, moment: datetime) -> str:
        """For machines."""
        return moment.astimezone(UTC).isoformat()

    def ago(self, moment: datetime) -> str:
        """How long ago, or in how long."""
        return format_timedelta(moment - self._now, add_direction=True, locale=self._visitor.locale)

    def length(self, length: timedelta) -> str:
        """How long."""
        return format_timedelta(length, threshold=2, locale=self._visitor.locale)
