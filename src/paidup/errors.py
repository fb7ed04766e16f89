"""Every error says who is at fault and what happens next.

::

    PaidupError
    ├── SenderError            the caller sent something wrong: 4xx, nothing was done
    │   ├── InvalidRequest     400/422  a field is missing or makes no sense
    │   ├── NotAllowed         401/403  unknown key, or a key without this scope
    │   ├── NotFound           404      no such thing in this shop
    │   ├── Conflict           409      it contradicts what is already there
    │   │   └── OutOfStock     409      fewer units are left than are wanted; it names the SKU and how many are left
    │   ├── TooSoon            429      asked again before its time; the message says when
    │   └── CallbackRefused    401/400  a callback that could not be verified or read; kept in quarantine
    ├── ChannelError           the channel is at fault: try later
    │   └── BillRefused        a bill that is wrong anywhere: nothing of it is used (channels/bill.py)
    ├── ProviderAway           the provider of identities is at fault (oidc/provider.py)
    ├── Overloaded             503: we are full for the moment; the sender tries again, nothing was kept
    └── OurError               we are at fault: page somebody
        ├── ConfigError        a setting, key or account is wrong; the message names it
        │   └── HandlersMissing  an application's handlers would be left out; nothing was done
        └── BrokenPromise      the database contradicts itself
"""

from enum import StrEnum


class PaidupError(Exception):
    """Base of all errors that Paidup raises on purpose."""


class SenderError(PaidupError):
    """The caller sent something that cannot be accepted; nothing was changed."""


class InvalidRequest(SenderError):
    """A field is missing or makes no sense; the message names it and says what would do."""


class NotAllowed(SenderError):
    """The API key is unknown, revoked, or lacks the scope."""


class NotFound(SenderError):
    """No such thing exists in this shop."""


class Conflict(SenderError):
    """The request contradicts what is already there (another body under the same key, a closed order)."""


class OutOfStock(Conflict):
    """Fewer units of an article are left than are wanted; nothing was set aside of any other either."""

    def __init__(self, sku: str, wanted: int, left: int) -> None:
        super().__init__(f"of {sku} {wanted} are wanted and {left} left; nothing was set aside, order fewer")
        self.sku = sku
        self.left = left


class TooSoon(SenderError):
    """The same was asked a moment ago, or an account's budget is used up; the message says when to come again."""


class Verdict(StrEnum):
    """What verification says of one callback. Only VALID may change money state."""

    VALID = "valid"
    INVALID_SIGNATURE = "invalid_signature"
    UNKNOWN_ACCOUNT = "unknown_account"  # no such channel or account here: perhaps we forgot to add it
    UNKNOWN_KEY = "unknown_key"
    EXPIRED = "expired"
    MALFORMED = "malformed"
    DECRYPT_FAILED = "decrypt_failed"
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm"
    PROBE = "probe"  # WeChat Pay's SIGNTEST: a signature that is wrong on purpose and must be refused quietly


class CallbackRefused(SenderError):
    """A callback that failed verification or reading. Its bytes are kept so that it can be replayed."""

    def __init__(self, verdict: Verdict, why: str) -> None:
        super().__init__(f"{verdict}: {why}")
        self.verdict = verdict
        self.why = why


class ChannelError(PaidupError):
    """The channel did not do its part; the work stays due and is tried again."""


class Overloaded(PaidupError):
    """A bounded queue is full. The sender gets 503 and tries again; nothing was kept."""


class OurError(PaidupError):
    """We are at fault; somebody must look."""


class ConfigError(OurError):
    """A setting, key or account is wrong; the message names it and the mend."""


class HandlersMissing(ConfigError):
    """An application's handlers would be left out: its transaction was undone, and whoever has them does the work."""


class BrokenPromise(OurError):
    """Rows contradict each other; `paidup verify` says which."""
