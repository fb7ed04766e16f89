"""What names a person is masked, however it is written; what names a payment is not."""

import json
import time

import pytest

from paidup.hand.detail import raw_text
from paidup.hand.personal import mask
from paidup.orders.order import MASK


@pytest.mark.parametrize(
    "text",
    [
        '{"payer":{"openid":"SECRETx"}}', '{"a":"{\\"buyer_logon_id\\":\\"SECRETx\\"}"}', "buyer_id=SECRETx&b=1",
        "write to SECRETx@example.com", "call 13812345678 now", '{"name" : "SECRETx"}',
    ],
)  # fmt: skip
def test_what_names_a_person_is_masked(text: str) -> None:
    """In JSON, in JSON inside JSON, in forms, and by its looks."""
    shown = mask(text)
    assert (MASK in shown, "SECRETx" in shown, "13812345678" in shown) == (True, False, False)


@pytest.mark.parametrize("text", ["4200002511232026112316000001", '{"trade_no":"2026112822001"}', "amount=1250"])
def test_what_names_a_payment_is_not_masked(text: str) -> None:
    """Numbers of payments are what people search for."""
    assert text == mask(text)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (r'{"name":"\u5f20\u4e09\u4e30"}', r"\u5f20\u4e09"),
        (r'{"line1":"12\/4 Hidden Street"}', "Hidden Street"),
        (r'{"name":"O\"Brien"}', "Brien"),
        ('{"line1": "", "name": "Ann \\\\ Lee"}', "Lee"),
        (r'{"n\u0061me":"Ann"}', "Ann"),
        (r'{"email":"zo\u00eb@example.com"}', "example.com"),
        (r'{"note":"write to a\u0040b.example"}', "b.example"),
        ('{"name":{"first":"Ann"}}', "Ann"),
        ('{"name":["Ann", {"x": "}"}, "Bob"]}', "Bob"),
        ('{"phone": 447700900123}', "447700900123"),
        (r'{"body":"{\"name\":\"O\\\"Brien\"}"}', "Brien"),
        (r'{"body":"{\"a\":\"{\\\"phone\\\":447700900123}\"}"}', "447700900123"),
        (r'{"name":"O\"Brien, cut o', "Brien"),
        (r'{"body":"{\"name\":\"O\\\"Brien, cut o', "Brien"),
        ('{"name":{"first":"Ann", "la', "Ann"),
        (r'{"a":"b"c","name":"Ann \"Lee"}', "Lee"),
        ("a=%7B%22name%22%3A%22Ann+Lee%22%7D&b=1", "Lee"),
    ],
)
def test_personal_data_is_masked_however_json_writes_it(text: str, secret: str) -> None:
    """JSON may escape any character, be cut off, broken, or stand in a form: what is masked is the value to its end."""
    shown = mask(raw_text(text.encode()))
    assert (True, False) == (MASK in shown, secret in shown)


def test_what_stands_beside_is_shown_as_it_came() -> None:
    """Masking changes values and nothing else: the text stays JSON, and what is empty is seen to be empty."""
    text = (
        r'{"id": "\u0031", "name": "Ann", "email": null, "phone": "", "n": 1.0, "b": "{\"city\": \"Ulm\", \"c\": 2}"}'
    )
    shown = text.replace("Ann", MASK).replace("Ulm", MASK)
    assert shown == mask(text)
    assert {"city": MASK, "c": 2} == json.loads(json.loads(mask(text))["b"])


def test_what_stands_too_deep_is_masked_unread() -> None:
    """A text within texts within texts is not followed for ever."""
    text = '{"name":"Ann"}'
    for _ in range(30):
        text = '{"a":"' + text.replace("\\", "\\u005c").replace('"', "\\u0022") + '"}'
    assert "Ann" not in mask(text)


@pytest.mark.parametrize(
    "text",
    ['"', '{"name":', '"name":[', r"\"name\":\"", "\\", r'"\u005c', "name=", "a=%7B", "[", '"a" ', "a.", '\\\\"name'],
)
def test_masking_takes_no_longer_for_what_is_written_to_take_long(text: str) -> None:
    """Strangers fill the quarantine: a page with the longest text that is shown comes at once."""
    began = time.perf_counter()
    mask(raw_text((text * 65536)[:65536].encode()))
    assert time.perf_counter() - began < 2
