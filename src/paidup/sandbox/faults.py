"""How the sandbox misbehaves. Each fate follows from the seed and from whom it befalls, never from timing: two runs
with one seed lose the same callbacks of the same payments."""

import random

import msgspec

from paidup.errors import ConfigError

MAX_S = 365 * 86_400
"""No callback or answer is held back for longer than a year."""

SHARES = {
    "lose": "callbacks that never arrive",
    "repeat": "callbacks sent twice",
    "delay": "callbacks that come late, a minute on average",
    "reorder": "callbacks overtaken by later ones",
    "corrupt": "callbacks with a flipped bit",
    "forge": "payments that a stranger claims with a forged callback",
    "probe": "WeChat Pay callbacks led by a SIGNTEST probe, which must be refused",
    "slow": "requests answered after seconds",
    "hang": "requests acted on and never answered",
    "drop": "requests acted on, with an answer that breaks off",
    "fail": "requests answered with 5xx, nothing done",
    "refund_fail": "refunds taken on that never reach the customer (WeChat Pay, Stripe)",
}
"""What may go wrong, each with a probability, as people read it."""


BILL_SHARES = {
    "missing": "bill lines left out",
    "extra": "bill lines of payments that nobody made here",
    "wrong_amount": "bill lines whose amount is off by one",
    "wrong_fee": "bill lines whose fee is off by one",
    "wrong_day": "bill lines that come a day late",
    "duplicate": "bill lines printed twice",
    "unknown_type": "bill lines of a type that nobody knows",
    "wrong_currency": "bill lines of payments in another currency (Stripe: the others' bills have one)",
    "wrong_status": "bill lines of refunds that call them undone (WeChat Pay's 退款状态, Stripe's refund_failure)",
    "wrong_payout": "payouts that take a line which no bill has (Stripe)",
    "wrong_total": "bills whose own totals do not fit their lines (at Stripe: a line that does not add up)",
    "truncated": "bills cut off in the middle",
    "wrong_hash": "bills that are not the file which was announced (hash, CRC or size)",
}
"""What may go wrong with a bill; the last three befall whole files, the one before a payout, the others lines."""


class BillFaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with bills: probabilities from 0 to 1, see BILL_SHARES; raises ConfigError outside of that.

    A wrong line stands in the totals as it is printed: only wrong_total makes the two differ.
    """

    missing: float = 0.0
    extra: float = 0.0
    wrong_amount: float = 0.0
    wrong_fee: float = 0.0
    wrong_day: float = 0.0
    duplicate: float = 0.0
    unknown_type: float = 0.0
    wrong_currency: float = 0.0
    wrong_status: float = 0.0
    wrong_payout: float = 0.0
    wrong_total: float = 0.0
    truncated: float = 0.0
    wrong_hash: float = 0.0
    early: bool = False
    """No fault: a bill is made whenever it is asked for, also of the day that has not ended. For demonstrations."""

    def __post_init__(self) -> None:
        for name in BILL_SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"bill fault {name!r} must be a probability from 0 to 1, not {getattr(self, name)}")


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong. The first twelve are probabilities from 0 to 1; raises ConfigError outside of that.

    Callbacks: lose (this sending never arrives), repeat (sent twice at once), delay (on average `delay_s` late),
    reorder (held back up to `reorder_s`, so that later ones overtake it), corrupt (one bit flips on the way), forge (a
    stranger claims a payment before anybody paid it), probe (WeChat Pay's SIGNTEST goes first, and must be refused).

    Answers: slow (after `slow_s`), hang (we act and never answer), drop (we act, and the answer breaks off), fail
    (502, nothing was done). More than `rate_limit_per_s` requests per account and second are refused; 0: no limit.

    refund_fail: refunds that WeChat Pay and Stripe take on, and that then do not reach the customer.

    lose_for_good: a lost callback's retries are lost, too, so that a payment is silent for ever or not at all.
    Durations are seconds of the sandbox's clock. bill: what is wrong with the bills of a day.
    """

    lose: float = 0.0
    repeat: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    forge: float = 0.0
    probe: float = 0.0
    slow: float = 0.0
    hang: float = 0.0
    drop: float = 0.0
    fail: float = 0.0
    refund_fail: float = 0.0
    lose_for_good: bool = True
    delay_s: float = 60.0
    reorder_s: float = 10.0
    slow_s: float = 4.0
    rate_limit_per_s: int = 0
    bill: BillFaults = BillFaults()

    def __post_init__(self) -> None:
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"fault {name!r} must be a probability from 0 to 1, not {getattr(self, name)}")
        if not all(0 <= seconds <= MAX_S for seconds in (self.delay_s, self.reorder_s, self.slow_s)):
            raise ConfigError(f"delay_s, reorder_s and slow_s must be seconds from 0 to {MAX_S}")
        if self.rate_limit_per_s < 0:
            raise ConfigError("rate_limit_per_s must not be negative")


class Dice:
    """Decides fates. The same seed, what and whom give the same fate, whenever and however often it is asked."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def hits(self, probability: float, *whom: object) -> bool:
        """Whether a fault of this probability befalls this."""
        return probability > 0 and self.throw(*whom).random() < probability

    def throw(self, *whom: object) -> random.Random:
        """A generator of its own for this."""
        return random.Random(f"{self._seed}/{'/'.join(map(str, whom))}")  # noqa: S311 - fates, not secrets

    def digits(self, count: int, *whom: object) -> str:
        """A number of so many digits for this."""
        return f"{self.throw(*whom).randrange(10**count):0{count}}"

    def letters(self, count: int, *whom: object) -> str:
        """So many hexadecimal digits for this."""
        return f"{self.throw(*whom).getrandbits(4 * count):0{count}x}"
