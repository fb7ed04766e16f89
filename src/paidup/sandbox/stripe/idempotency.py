"""Idempotency keys: what is asked for once more under one is answered as it was the first time."""

from datetime import datetime, timedelta

import msgspec

from paidup.sandbox.stripe.forms import fields_of
from paidup.sandbox.stripe.objects import error
from paidup.sandbox.wire import Ask, Tell

KEYS_KEPT = timedelta(hours=24)
"""How long an idempotency key is known at the least; here it is not known any longer, either."""
MAX_ANSWERS = 100_000
"""The oldest are forgotten."""


class _Answered(msgspec.Struct, frozen=True):
    """What was asked for under an idempotency key, and what was said."""

    path: str
    fields: dict[str, str]
    answer: Tell
    at: datetime


class Answers:
    """What was answered to requests that had a key."""

    def __init__(self) -> None:
        self._kept: dict[str, _Answered] = {}

    def again(self, ask: Ask, now: datetime) -> Tell | None:
        """What was answered under this key; None when nothing was, or too long ago. Raises ValueError for a form that
        makes no sense."""
        known = self._kept.get(_key_of(ask) or "")
        return _again(known, ask) if known and now - known.at < KEYS_KEPT else None

    def keep(self, ask: Ask, answer: Tell, now: datetime) -> None:
        """Remember an answer, if the request has a key."""
        if key := _key_of(ask):
            self._kept[key] = _Answered(ask.path, fields_of(ask), answer, now)
            if len(self._kept) > MAX_ANSWERS:
                del self._kept[next(iter(self._kept))]


def _key_of(ask: Ask) -> str | None:
    return ask.headers.get("idempotency-key") if ask.method == "POST" else None


def _again(known: _Answered, ask: Ask) -> Tell:
    """Refusals, too, are repeated. What counts is what is asked for, and not in which order the form says it."""
    if (known.path, known.fields) != (ask.path, fields_of(ask)):
        why = "Keys for idempotent requests can only be used with the same parameters they were first used with."
        return error(400, None, why, "idempotency_error")
    return Tell(known.answer.status, {**known.answer.headers, "idempotent-replayed": "true"}, known.answer.body)
