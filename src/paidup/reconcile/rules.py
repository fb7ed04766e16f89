"""What a shop agreed with its channels, and how far reconciliation may go by itself: one TOML file, per account.

::

    [default]                       # for every account
    wait_days = 2
    [default.tolerance_minor]
    CNY = 0
    ["wechat/main"]                 # wins over the default, name by name
    fee_ppm = 6000                  # 0.6 %
    approve = ["refund_unknown"]    # kinds that a second person approves
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from paidup.errors import ConfigError
from paidup.reconcile.breaks import Kind

MAX_BYTES = 256 << 10
_DEFAULT = "default"


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of one account.

    fee_ppm, fee_fixed_minor: the agreed fee of a payment, in millionths of its amount and on top of it; unset: fees are
    not judged. fee_tolerance_minor: how much a fee may differ (rounding). tolerance_minor: by currency, how much an
    amount may differ. cutoff_minutes: so near to midnight a booking may stand in the neighbour day's bill. wait_days:
    how long it, and a short, may wait. repair_count, repair_minor: how many repairs of a day, and how much money of
    each currency, need nobody's approval. approve: kinds that always need it. approvers: how many different people.
    """

    fee_ppm: int | None = None
    fee_fixed_minor: int = 0
    fee_tolerance_minor: int = 1
    tolerance_minor: Mapping[str, int] = {}
    cutoff_minutes: int = 30
    wait_days: int = 2
    repair_count: int = 1000
    repair_minor: int = 10_000_000
    approve: tuple[Kind, ...] = ()
    approvers: int = 2

    def __post_init__(self) -> None:
        bounds = {"fee_ppm": 1_000_000, "wait_days": 30, "cutoff_minutes": 720, "approvers": 5}
        for name, at_most in bounds.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value <= at_most:
                raise ConfigError(f"{name} must be a whole number from 0 to {at_most}, not {value}")
        if min(self.repair_count, self.repair_minor, self.fee_tolerance_minor, *self.tolerance_minor.values(), 0) < 0:
            raise ConfigError("limits and tolerances must not be negative")

    def fee_of(self, amount_minor: int) -> int | None:
        """The agreed fee of a payment, rounded half up to the minor unit; None when none is agreed."""
        if self.fee_ppm is None:
            return None
        return (amount_minor * self.fee_ppm + 500_000) // 1_000_000 + self.fee_fixed_minor

    def allows(self, currency: str, differs_minor: int) -> bool:
        """Whether a difference of amounts is small enough to be none."""
        return abs(differs_minor) <= self.tolerance_minor.get(currency, 0)


class RuleBook:
    """The rules of every account, read once."""

    def __init__(self, tables: Mapping[str, Mapping[str, object]], where: str = "rules") -> None:
        """Raises ConfigError naming what is wrong."""
        self._tables, self._where = tables, where
        for name in tables:
            if name != _DEFAULT and name.count("/") != 1:
                raise ConfigError(f'{where}: name the tables [default] and ["channel/account"], not [{name[:60]}]')
            self.of(*name.split("/")) if "/" in name else self.of("", "")

    def of(self, channel: str, account: str) -> Rules:
        """The rules of an account."""
        merged = {**self._tables.get(_DEFAULT, {}), **self._tables.get(f"{channel}/{account}", {})}
        try:
            return msgspec.convert(merged, Rules)
        except (msgspec.ValidationError, ConfigError) as wrong:
            raise ConfigError(f"{self._where}, [{channel}/{account}]: {wrong}") from None


def read_rules(path: Path) -> RuleBook:
    """The rules of a file; the defaults when there is no such file. Raises ConfigError naming what is wrong."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return RuleBook({})
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; it must be a file that this user may read") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes; that is no rules file")
    try:
        return RuleBook(tomllib.loads(data.decode()), str(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
