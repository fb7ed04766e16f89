"""One signed request to a participant, and what is certain afterwards.

2xx: done. 409 or 422: refused, and nothing was done. Anything else, or nothing: perhaps it was done; it is asked again
under the same key. Only what never got a connection certainly did not reach the participant.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from paidup.clock import monotonic_s
from paidup.delivery import sign
from paidup.delivery.plan import Answer, retry_after_s
from paidup.errors import ConfigError
from paidup.participant.call import Call, Operation
from paidup.resilience.breaker import Breaker, Ending, Rules
from paidup.resilience.guard import BreakerOpen, Guard
from paidup.transactions.decide import Outcome, Reply
from paidup.transactions.participants import Way
from paidup.transactions.table import Step
from paidup.transactions.transaction import Transaction

RULES = Rules(window_s=60.0, slow_s=10.0, wait_s=5.0, longest_wait_s=60.0)
_REFUSED = (409, 422)
_MAX_KEPT_CHARS = 2000


class Post(Protocol):
    """How a participant is reached (delivery.send.Sender): never raises for what the network does."""

    async def __call__(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, deadline_s: float) -> Answer:
        """POST once, and wait at most so long for the answer."""
        ...


class Requester:
    """Asks participants, with a breaker for each. seconds: see Guard."""

    def __init__(
        self,
        sender: Post,
        *,
        now_of: Callable[[], datetime],
        rules: Rules = RULES,
        seconds: Callable[[], float] = monotonic_s,
    ) -> None:
        self._sender = sender
        self._guard = Guard(rules, seconds=seconds)
        self.now_of = now_of

    def breaker(self, shop: str, participant: str) -> Breaker:
        """A participant's breaker as this process sees it."""
        return self._guard.breaker(f"{shop}/{participant}")

    async def ask(self, t: Transaction, step: Step, operation: Operation, way: Way | None) -> Reply:
        """Ask once. Never raises for what the network or the participant does: that is a Reply."""
        if way is None:
            return _not_sent(step, operation, f"there is no participant {step.participant}: register it")
        answer = await self._send(t, step, operation, way)
        return answer if isinstance(answer, Reply) else read(step, operation, answer, self.now_of())

    async def _send(self, t: Transaction, step: Step, operation: Operation, way: Way) -> Answer | Reply:
        message = call_of(t, step, operation)
        body = msgspec.json.encode(message)
        try:
            headers = sign.headers(message.key, self.now_of(), body, way.secrets)
            return await self._guard.call(
                f"{t.shop}/{step.participant}",
                lambda: self._sender(way.url, headers, body, deadline_s=step.timeout_s),
                _judge,
                self.now_of,
            )
        except (BreakerOpen, ConfigError) as error:
            return _not_sent(step, operation, str(error))


def call_of(t: Transaction, step: Step, operation: Operation) -> Call:
    """What is said to the participant: its own part of the data, and nobody else's."""
    parts = msgspec.json.decode(t.data, type=dict[str, msgspec.Raw])
    return Call(
        xid=t.id,
        step=step.name,
        operation=operation,
        shop=t.shop,
        order_id=t.order_id,
        data=parts.get(step.name, msgspec.Raw(b"null")),
    )


def read(step: Step, operation: Operation, answer: Answer, now: datetime) -> Reply:
    """What an answer makes certain."""
    status = answer.status
    words = answer.body.decode("utf-8", "replace").replace("\x00", "\ufffd")[:_MAX_KEPT_CHARS]
    if status is None:
        outcome = Outcome.UNKNOWN if answer.connected else Outcome.RETRYABLE
        why = f"no answer: {answer.failure}" if answer.connected else f"not sent: {answer.failure}"
    elif 200 <= status < 300 and status != 202:
        outcome, why = Outcome.SUCCESS, f"{status}"
    elif status in _REFUSED:
        outcome, why = Outcome.DECLINED, f"{status}: {words[:300]}"
    else:
        outcome, why = Outcome.UNKNOWN, f"{status}: neither done nor refused"
    return Reply(
        step=step.name,
        operation=operation,
        outcome=outcome,
        why=why,
        answer=words,
        status=status,
        elapsed_ms=answer.elapsed_ms,
        retry_after_s=retry_after_s(answer.retry_after, now),
    )


def _not_sent(step: Step, operation: Operation, why: str) -> Reply:
    return Reply(step=step.name, operation=operation, outcome=Outcome.RETRYABLE, why=f"not sent: {why}")


def _judge(answer: Answer) -> Ending:
    """A refusal is an answer; 5xx, 429 and silence are not."""
    is_well = answer.status is not None and answer.status < 500 and answer.status != 429
    return Ending.WORKED if is_well else Ending.FAILED
