"""Stripe's vectors, each judged as its source says, at the time it was made for.

| the vector says | we decide         | because                                                          |
| --------------- | ----------------- | ---------------------------------------------------------------- |
| future-400      | EXPIRED           | 400 s ahead is as wrong as 400 s ago; stripe-python lets it pass |
| uppercase-hex   | INVALID_SIGNATURE | Stripe sends lower case and its libraries compare text           |
"""

from datetime import UTC, datetime

import pytest
from vector_files import Vector, body_of, vectors

from paidup.channels.messages import CallbackRequest
from paidup.channels.stripe import STRIPE
from paidup.errors import CallbackRefused, Verdict

KEYS, VECTORS = vectors("stripe")
DECIDED = {"future-400": Verdict.EXPIRED, "uppercase-hex": Verdict.INVALID_SIGNATURE}


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector_is_judged_as_its_source_says(vector: Vector) -> None:
    """Each vector gets the verdict its source states; where implementations differ, the one we decided on."""
    expected = DECIDED[vector["name"]] if vector["expected"] == "policy" else Verdict(vector["expected"])
    assert expected == judged(vector)


def judged(vector: Vector) -> Verdict:
    headers = tuple((name.lower(), value) for name, value in vector["headers"].items())
    request = CallbackRequest("POST", "/callbacks/stripe/main", headers, body_of(vector))
    try:
        STRIPE.read_callback(request, account(vector["key"]), datetime.fromtimestamp(vector["now"], UTC))
    except CallbackRefused as refusal:
        return refusal.verdict
    return Verdict.VALID


def account(key: str):
    table = {
        "shop": "shop1",
        "notify_url": "https://shop.example/callbacks/stripe/main",
        "secret_key": "secret.key",
        "webhook_secrets": ["webhook.secret"],
        "livemode": False,
    }
    files = {"secret.key": b"sk_test_0123456789", "webhook.secret": KEYS[key]["value"].encode()}
    return STRIPE.parse_account("main", table, files)
