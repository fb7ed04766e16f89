"""What a participant believes: only the coordinator's own requests, unchanged and recent. What an answer makes sure."""

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
import standardwebhooks

from paidup.delivery import sign
from paidup.delivery.plan import Answer
from paidup.errors import ConfigError
from paidup.participant import Call, Operation, Untrusted, read_call
from paidup.participant.call import MAX_BODY_BYTES
from paidup.testing.builders import NOW, after
from paidup.transactions.ask import read
from paidup.transactions.decide import Outcome
from paidup.transactions.table import Step

SECRET, OTHER = (sign.secret_text(bytes([n]) * 32) for n in (1, 2))
CALL = Call(
    xid="txn1", step="coupon", operation=Operation.TRY, shop="teahouse", order_id="ord1", data=msgspec.Raw(b'{"n": 1}')
)
BODY = msgspec.json.encode(CALL)


def headers(body: bytes = BODY, key: str = CALL.key, *secrets: str) -> dict[str, str]:
    return dict(sign.headers(key, NOW, body, secrets or (SECRET,)))


def test_what_the_coordinator_signed_is_read() -> None:
    """Under any of our secrets, whichever of several signatures fits; an independent library agrees."""
    for secrets in ([SECRET], [OTHER, SECRET]):
        assert CALL == read_call(headers(), BODY, secrets, after(200))
    assert CALL == read_call(headers(BODY, CALL.key, OTHER, SECRET), BODY, [SECRET], NOW)
    assert ("txn1.coupon.try", {"n": 1}) == (CALL.key, CALL.told())
    webhook = standardwebhooks.Webhook(SECRET)
    signed = webhook.sign(CALL.key, NOW, BODY.decode())
    assert signed == headers()["webhook-signature"]


@pytest.mark.parametrize("case", [str.title, str.upper, str.lower])
def test_headers_are_read_in_whatever_case_a_framework_gives_them(case: Callable[[str], str]) -> None:
    """Starlette gives lower case, http.server and Flask Webhook-Id: the same request."""
    assert CALL == read_call({case(name): value for name, value in headers().items()}, BODY, [SECRET], NOW)


@pytest.mark.parametrize(
    ("changes", "body", "seconds", "why"),
    [
        ({}, BODY.replace(b"ord1", b"ord2"), 0, "signature"),
        ({"webhook-id": "txn1.coupon.cancel"}, BODY, 0, "signature"),
        ({"webhook-signature": ""}, BODY, 0, "signature"),
        ({"webhook-signature": "v1,é"}, BODY, 0, "signature"),
        ({"webhook-timestamp": "soon"}, BODY, 0, "no request"),
        ({}, BODY, 301, "too old"),
        ({}, BODY, -301, "too old"),
        ({}, b"x" * (MAX_BODY_BYTES + 1), 0, "no request"),
    ],
)
def test_whatever_else_comes_is_not_believed(changes: dict[str, str], body: bytes, seconds: int, why: str) -> None:
    """Changed, unsigned, of another time, or too long."""
    with pytest.raises(Untrusted, match=why):
        read_call(headers() | changes, body, [SECRET], NOW + timedelta(seconds=seconds))


def test_a_signature_under_another_secret_is_not_believed() -> None:
    """Nor does a key that stands for another request open anything."""
    with pytest.raises(Untrusted, match="signature"):
        read_call(headers(BODY, CALL.key, OTHER), BODY, [SECRET], NOW)
    with pytest.raises(Untrusted, match="does not fit"):
        read_call(headers(BODY, "txn1.coupon.cancel"), BODY, [SECRET], NOW)
    with pytest.raises(Untrusted, match="cannot be read"):
        read_call(headers(b"{}"), b"{}", [SECRET], NOW)


def test_a_secret_that_is_none_is_our_mistake() -> None:
    """It is said without quoting it."""
    with pytest.raises(ConfigError, match="whsec_ followed by base64"):
        read_call(headers(), BODY, ["hunter2"], NOW)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(status=200, elapsed_ms=1), Outcome.SUCCESS),
        (Answer(status=204, elapsed_ms=1), Outcome.SUCCESS),
        (Answer(status=409, elapsed_ms=1, body=b"none left"), Outcome.DECLINED),
        (Answer(status=422, elapsed_ms=1), Outcome.DECLINED),
        (Answer(status=202, elapsed_ms=1), Outcome.UNKNOWN),
        (Answer(status=404, elapsed_ms=1), Outcome.UNKNOWN),
        (Answer(status=500, elapsed_ms=1), Outcome.UNKNOWN),
        (Answer(status=503, elapsed_ms=1, retry_after="7"), Outcome.UNKNOWN),
        (Answer(status=None, elapsed_ms=1, failure="timeout"), Outcome.UNKNOWN),
        (Answer(status=None, elapsed_ms=1, failure="refused", connected=False), Outcome.RETRYABLE),
    ],
)
def test_only_a_clear_answer_is_certain(answer: Answer, outcome: Outcome) -> None:
    """2xx is done, 409 and 422 are refusals; nothing reached it only where there was no connection."""
    reply = read(Step(name="coupon", participant="coupons"), Operation.TRY, answer, NOW)
    assert (outcome, 7.0 if answer.retry_after else None) == (reply.outcome, reply.retry_after_s)
