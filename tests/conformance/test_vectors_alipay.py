"""Alipay's vectors, each judged as its source says.

| the vector says | we decide | because                                                                       |
| --------------- | --------- | ----------------------------------------------------------------------------- |
| blank_sensitive | VALID     | they are tried kept, then left out; a blank field counts as absent either way |
| unverifiable    | MALFORMED | a real notice without its signature; its fields are tested by themselves      |

Notices about trades leave sign_type out of what is signed (mode v1), all other notices keep it (mode v2). The callback
address takes trades only; v2 is judged with the signature functions that our own requests use.
"""

import base64
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from vector_files import Vector, body_of, vectors

from paidup.channels.alipay import ALIPAY
from paidup.channels.alipay.callback import verified
from paidup.channels.alipay.form import as_text, parse_form
from paidup.channels.alipay.gateway import Answer, read_answer
from paidup.channels.alipay.sign import FOR_REQUEST, signed_text, verify
from paidup.channels.alipay.trade import is_refunded, moment, payment_says, yuan
from paidup.channels.messages import CallbackRequest, Response
from paidup.errors import CallbackRefused, Verdict
from paidup.evidence import PaymentSays
from paidup.money import Money

KEYS, VECTORS = vectors("alipay")
DECIDED = {"blank_sensitive": Verdict.VALID, "unverifiable": Verdict.MALFORMED}
NOW = datetime(2026, 11, 23, tzinfo=UTC)
OUR_KEY = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector_is_judged_as_its_source_says(vector: Vector) -> None:
    """Each vector gets the verdict its source states; where implementations differ, the one we decided on."""
    expected = DECIDED.get(vector["expected"]) or Verdict(vector["expected"])
    assert expected == JUDGES[vector["kind"], vector.get("mode")](vector)


@pytest.mark.parametrize("vector", [it for it in VECTORS if it.values[0].get("kind") == "response"])
def test_an_answer_is_verified_on_its_raw_bytes(vector: Vector) -> None:
    """An answer that Alipay signed is trusted as it came, and one whose sign was changed is not."""
    name = body_of(vector)[2:].split(b"_response", 1)[0].decode().replace("_", ".")
    answer = read_answer(name, Response(200, (), body_of(vector)), account(vector))
    trusted = "wrong" not in vector["name"]
    assert trusted == (isinstance(answer, Answer) and answer.ok)


@pytest.mark.parametrize("vector", [it for it in VECTORS if it.id and it.id.startswith("shape-")])
def test_a_real_refund_notice_means_paid_and_given_back(vector: Vector) -> None:
    """Real notices about a partial and a full refund are read as money that came and (partly) went back."""
    fields = as_text(parse_form(body_of(vector)))
    whole = fields["refund_fee"] == fields["total_amount"]
    assert (PaymentSays.GIVEN_BACK if whole else PaymentSays.PAID) == payment_says(fields)
    assert is_refunded(fields)
    read = (yuan(fields["refund_fee"]), moment(fields["gmt_refund"]))
    assert SHAPES[vector["name"]] == read


def through_the_callback(vector: Vector) -> Verdict:
    request = CallbackRequest("POST", "/callbacks/alipay/main?tenant=7", (), body_of(vector))
    return verdict_of(lambda: ALIPAY.read_callback(request, account(vector), NOW))


def with_sign_type(vector: Vector) -> Verdict:
    pairs = parse_form(body_of(vector))
    return verify(signed_text(pairs, FOR_REQUEST), dict(pairs)[b"sign"], account(vector).public_keys)


def as_return_url(vector: Vector) -> Verdict:
    pairs = parse_form(urlsplit(vector["url"]).query.encode())
    return verdict_of(lambda: verified(pairs, account(vector)))


def as_answer(vector: Vector) -> Verdict:
    content = base64.b64decode(vector["signed_content_b64"])
    return verify(content, vector["signature"].encode(), account(vector).public_keys)


JUDGES = {
    ("notify", "v1"): through_the_callback,
    ("notify", "v2"): with_sign_type,
    ("return_url", "v1"): as_return_url,
    ("return_url", None): as_return_url,
    ("response", None): as_answer,
}
SHAPES = {
    "shape-partial-refund-2018": (Money(54, "CNY"), datetime(2018, 5, 24, 19, 3, 59, 922000, tzinfo=UTC)),
    "shape-full-refund-closed-2022": (Money(1, "CNY"), datetime(2022, 9, 22, 16, 40, 42, 662000, tzinfo=UTC)),
}


def verdict_of(read) -> Verdict:
    try:
        read()
    except CallbackRefused as refusal:
        return refusal.verdict
    return Verdict.VALID


def account(vector: Vector):
    key = KEYS[vector.get("key") or "node-v1"]["value"].encode()
    table = {
        "shop": "shop1",
        "notify_url": "https://shop.example/callbacks/alipay/main",
        "app_id": "2019073166072302",
        "seller_id": "2088531891668739",
        "private_key": "app_key.pem",
        "alipay_public_keys": ["alipay_public.pem"],
    }
    return ALIPAY.parse_account("main", table, {"app_key.pem": OUR_KEY, "alipay_public.pem": key})
