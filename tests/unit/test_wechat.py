"""WeChat Pay: notices, requests, answers, keys, and what they mean."""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from paidup.channels.messages import (
    CallbackRequest,
    Declined,
    Exchange,
    Outcome,
    Response,
    Retryable,
    Success,
    Unknown,
)
from paidup.channels.wechat import WECHAT
from paidup.channels.wechat.certificates import certificates
from paidup.errors import CallbackRefused, ConfigError, InvalidRequest, Verdict
from paidup.evidence import PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road
from paidup.money import Money
from wechat_side import (
    APIV3_KEY,
    APPID,
    CERTIFICATE_SERIAL,
    MCHID,
    NOW,
    NOW_S,
    OLD_APIV3_KEY,
    PUBLIC_KEY_ID,
    REFUND,
    REFUND_NOTICE,
    TABLE,
    TRANSACTION,
    account,
    answer,
    authorized,
    callback,
    certificate,
    changed,
    error,
    event,
    files,
    key,
    name_of,
    notice,
    public_pem,
    refund_of,
    sealed,
    sent,
    signed_headers,
    to_open,
)

Headers = tuple[tuple[str, str], ...]
BODY = event(TRANSACTION)


def verdict(request: CallbackRequest) -> Verdict:
    try:
        WECHAT.read_callback(request, account(), NOW)
    except CallbackRefused as refused:
        return refused.verdict
    return Verdict.VALID


def evidence(request: CallbackRequest):
    return WECHAT.read_callback(request, account(), NOW).evidence


def with_header(name: str, value: str | None, headers: Headers | None = None) -> CallbackRequest:
    """A good notice with one header replaced, or left out."""
    others = tuple(pair for pair in headers or signed_headers(BODY) if pair[0] != name)
    return callback(BODY, others if value is None else (*others, (name, value)))


# Notices ----------------------------------------------------------------------------------------------------------


def test_a_paid_notice_is_evidence_with_amount_receiver_and_time() -> None:
    """TRANSACTION.SUCCESS says PAID, in fen, to merchant and app, at Beijing time turned into a moment."""
    expected = PaymentEvidence(
        road=Road.CALLBACK,
        channel="wechat",
        account="main",
        key="EV-1",
        received_at=NOW,
        occurred_at=datetime(2026, 11, 23, 7, 59, 58, tzinfo=UTC),
        merchant_ref="pay1",
        channel_txn_id="4200000000202611230000000001",
        amount=Money(1250, "CNY"),
        payee=f"{MCHID}/{APPID}",
        note="SUCCESS",
        says=PaymentSays.PAID,
    )
    reading = WECHAT.read_callback(notice(), account(), NOW)
    assert ("EV-1", "TRANSACTION.SUCCESS", (expected,)) == (reading.key, reading.kind, reading.evidence)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("SUCCESS", PaymentSays.PAID),
        ("REFUND", PaymentSays.PAID),
        ("NOTPAY", PaymentSays.WAITING),
        ("USERPAYING", PaymentSays.WAITING),
        ("ACCEPT", PaymentSays.WAITING),
        ("PAYERROR", PaymentSays.FAILED),
        ("CLOSED", PaymentSays.CLOSED),
        ("REVOKED", PaymentSays.CLOSED),
    ],
)
def test_each_trade_state_has_one_meaning(state: str, says: PaymentSays) -> None:
    """REFUND only says that a refund was begun: the money of the payment did arrive."""
    (told,) = evidence(notice(changed(trade_state=state)))
    assert (says, state) == (told.says, told.note)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("SUCCESS", RefundSays.SUCCEEDED),
        ("PROCESSING", RefundSays.PENDING),
        ("ABNORMAL", RefundSays.FAILED),
        ("CLOSED", RefundSays.FAILED),
    ],
)
def test_a_refund_notice_tells_of_the_refund_alone(state: str, says: RefundSays) -> None:
    """Its amount is the refund's own, its note is the state that WeChat Pay gives it, and it names no app."""
    expected = RefundEvidence(
        road=Road.CALLBACK,
        channel="wechat",
        account="main",
        key="EV-1",
        received_at=NOW,
        occurred_at=NOW,
        merchant_ref="pay1",
        channel_txn_id="4200000000202611230000000001",
        amount=Money(500, "CNY"),
        payee=f"{MCHID}/{APPID}",
        note=state,
        says=says,
        merchant_refund_ref="ref1",
        channel_refund_id="50000000002026112300000000001",
    )
    assert (expected,) == evidence(notice({**REFUND_NOTICE, "refund_status": state}, f"REFUND.{state}"))


@pytest.mark.parametrize(
    ("created", "happened"),
    [
        ("2026-11-23T15:59:59+08:00", datetime(2026, 11, 23, 7, 59, 59, tzinfo=UTC)),
        ("20180225112233", None),
        (None, None),
    ],
)
def test_a_refund_that_failed_did_so_when_its_notice_was_made(created: str | None, happened: datetime | None) -> None:
    """It has no success_time. A notice that does not say when it was made is good all the same."""
    failed = {k: v for k, v in REFUND_NOTICE.items() if k != "success_time"} | {"refund_status": "ABNORMAL"}
    body = json.dumps({**json.loads(event(failed, "REFUND.ABNORMAL")), "create_time": created}).encode()
    assert [(RefundSays.FAILED, happened)] == [(it.says, it.occurred_at) for it in evidence(callback(body))]


def test_a_refunds_number_that_is_empty_is_none() -> None:
    """An empty number is no number to look for; and an amount is in the currency that it is stated in."""
    empty = {"out_trade_no": "", "transaction_id": "", "refund_id": "", "amount": {"refund": 500, "currency": "HKD"}}
    (told,) = evidence(notice({**REFUND_NOTICE, **empty}, "REFUND.SUCCESS"))
    assert (None, None, None) == (told.merchant_ref, told.channel_txn_id, told.channel_refund_id)
    assert Money(500, "HKD") == told.amount


@pytest.mark.parametrize("name", ["mchid", "appid"])
def test_another_receiver_is_stated_as_such(name: str) -> None:
    """Money for another merchant or app names that one, so that the door sees the difference."""
    assert account().payee != evidence(notice(changed(**{name: "1900000009"})))[0].payee


def test_a_receiver_that_is_not_stated_is_not_compared() -> None:
    """When neither merchant nor app is stated there is nothing to compare."""
    assert evidence(notice({k: v for k, v in TRANSACTION.items() if k not in ("mchid", "appid")}))[0].payee is None


@pytest.mark.parametrize(
    ("signer", "serial"),
    [
        ("wechat", PUBLIC_KEY_ID),
        ("platform", CERTIFICATE_SERIAL),
        ("platform", CERTIFICATE_SERIAL.lower()),
        ("platform", f"00{CERTIFICATE_SERIAL}"),
    ],
)
def test_certificates_and_public_keys_are_accepted_side_by_side(signer: str, serial: str) -> None:
    """WeChat Pay moves an account from one to the other over days; serials are numbers, however they are printed."""
    assert Verdict.VALID == verdict(callback(BODY, signed_headers(BODY, signer=signer, serial=serial)))


@pytest.mark.parametrize("apiv3_key", [APIV3_KEY, OLD_APIV3_KEY])
def test_old_and_new_apiv3_keys_are_accepted_side_by_side(apiv3_key: bytes) -> None:
    """Around a reset of the APIv3 key, notices encrypted with either are read."""
    body = event(TRANSACTION, **sealed(json.dumps(TRANSACTION).encode(), with_key=apiv3_key))
    assert [PaymentSays.PAID] == [e.says for e in evidence(callback(body))]


@pytest.mark.parametrize("beside", ["", None])
def test_associated_data_may_be_missing(beside: str | None) -> None:
    """An empty, null or absent associated_data authenticates nothing beside the text."""
    resource = {**sealed(json.dumps(TRANSACTION).encode(), beside=""), "associated_data": beside}
    assert Verdict.VALID == verdict(callback(event(TRANSACTION, **resource)))


@pytest.mark.parametrize(
    ("off_s", "expected"),
    [
        (0, Verdict.VALID),
        (299, Verdict.VALID),
        (-299, Verdict.VALID),
        (300, Verdict.EXPIRED),
        (-300, Verdict.EXPIRED),
        (86_400, Verdict.EXPIRED),
    ],
)
def test_a_notice_is_fresh_for_less_than_300_seconds(off_s: int, expected: Verdict) -> None:
    """Both ways, as the official Go SDK counts; a retry is signed anew, so an old one is a replay."""
    assert expected == verdict(callback(BODY, signed_headers(BODY, at_s=NOW_S - off_s)))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("wechatpay-timestamp", None, Verdict.MALFORMED),
        ("wechatpay-timestamp", f"{NOW_S}.0", Verdict.MALFORMED),
        ("wechatpay-timestamp", f"-{NOW_S}", Verdict.MALFORMED),
        ("wechatpay-timestamp", "１７９５", Verdict.MALFORMED),
        ("wechatpay-timestamp", "9" * 400, Verdict.MALFORMED),
        ("wechatpay-nonce", None, Verdict.MALFORMED),
        ("wechatpay-nonce", "", Verdict.MALFORMED),
        ("wechatpay-nonce", "n0nce\xff", Verdict.MALFORMED),
        ("wechatpay-nonce", "another", Verdict.INVALID_SIGNATURE),
        ("wechatpay-signature", None, Verdict.MALFORMED),
        ("wechatpay-signature", "no base64!", Verdict.MALFORMED),
        ("wechatpay-signature", "abc", Verdict.MALFORMED),
        ("wechatpay-signature", "AAAA", Verdict.INVALID_SIGNATURE),
        ("wechatpay-signature", "A" * 2000, Verdict.MALFORMED),
        ("wechatpay-serial", None, Verdict.MALFORMED),
        ("wechatpay-serial", "ABCDEF", Verdict.UNKNOWN_KEY),
        ("wechatpay-serial", "0", Verdict.UNKNOWN_KEY),
        ("wechatpay-serial", f"{PUBLIC_KEY_ID}1", Verdict.UNKNOWN_KEY),
        ("wechatpay-serial", CERTIFICATE_SERIAL, Verdict.INVALID_SIGNATURE),
        ("wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048", Verdict.VALID),
        ("wechatpay-signature-type", "WECHATPAY2-SM2-WITH-SM3", Verdict.UNSUPPORTED_ALGORITHM),
        ("wechatpay-signature-type", "", Verdict.UNSUPPORTED_ALGORITHM),
    ],
)
def test_each_header_has_its_verdict(name: str, value: str | None, expected: Verdict) -> None:
    """A header that is missing or no such thing is malformed; the key that is named is used, and no other is tried."""
    assert expected == verdict(with_header(name, value))


def test_the_body_cannot_be_moved_into_the_nonce() -> None:
    """Were a line feed taken in the nonce, a signed body that holds one could be cut there and its rest be read."""
    body = b"x\n" + BODY
    headers = signed_headers(body)
    assert Verdict.INVALID_SIGNATURE == verdict(callback(BODY, headers))
    assert Verdict.MALFORMED == verdict(with_header("wechatpay-nonce", "n0nce\nx", headers))


@pytest.mark.parametrize("at_s", [NOW_S, NOW_S - 3600])
@pytest.mark.parametrize("serial", [PUBLIC_KEY_ID, CERTIFICATE_SERIAL, "ABCDEF"])
def test_a_probe_is_refused_under_its_own_name(serial: str, at_s: int) -> None:
    """WeChat Pay sends wrong signatures on purpose and wants to see them refused with 4xx; nobody is woken."""
    headers = signed_headers(BODY, serial=serial, at_s=at_s)
    signature = dict(headers)["wechatpay-signature"]
    probe = with_header("wechatpay-signature", f"WECHATPAY/SIGNTEST/{signature}", headers)
    assert Verdict.PROBE == verdict(probe)
    assert 401 == WECHAT.refused(CallbackRefused(Verdict.PROBE, "")).status


def unreadable() -> Mapping[str, tuple[Verdict, bytes]]:
    no_amount = {k: v for k, v in TRANSACTION.items() if k != "amount"}
    no_number = {k: v for k, v in TRANSACTION.items() if k != "out_trade_no"}
    stranger = sealed(json.dumps(TRANSACTION).encode(), with_key=b"x" * 32)
    bad = Verdict.MALFORMED
    return {
        "no JSON": (bad, b"<xml/>"),
        "no UTF-8": (bad, b'{"id":"\xff"}'),
        "no envelope": (bad, b"[]"),
        "deep": (bad, b'{"id":' + b"[" * 100_000),
        "a flood": (bad, BODY + b" " * (256 << 10)),
        "no id": (bad, json.dumps({**json.loads(BODY), "id": ""}).encode()),
        "a long id": (bad, json.dumps({**json.loads(BODY), "id": "9" * 200}).encode()),
        "another algorithm": (Verdict.UNSUPPORTED_ALGORITHM, event(TRANSACTION, algorithm="AEAD_SM4_GCM")),
        "another key": (Verdict.DECRYPT_FAILED, event(TRANSACTION, **stranger)),
        "a short nonce": (Verdict.DECRYPT_FAILED, event(TRANSACTION, nonce="abc")),
        "no nonce": (Verdict.DECRYPT_FAILED, event(TRANSACTION, nonce="")),
        "half a character": (bad, BODY.replace(b"0123456789ab", b"\\ud800")),
        "other associated data": (Verdict.DECRYPT_FAILED, event(TRANSACTION, associated_data="refund")),
        "a short ciphertext": (Verdict.DECRYPT_FAILED, event(TRANSACTION, ciphertext="AAAA")),
        "no ciphertext": (Verdict.DECRYPT_FAILED, event(TRANSACTION, ciphertext="")),
        "no base64": (bad, event(TRANSACTION, ciphertext="***")),
        "a text inside": (bad, event(TRANSACTION, **sealed(b"hello"))),
        "no amount": (bad, event(no_amount)),
        "an amount of nothing": (bad, event(changed(amount={}))),
        "no number": (bad, event(no_number)),
        "an amount in yuan": (bad, event(changed(amount={"total": 12.5}))),
        "an amount as text": (bad, event(changed(amount={"total": "1250"}))),
        "a negative amount": (bad, event(changed(amount={"total": -1}))),
        "an enormous amount": (bad, event(changed(amount={"total": 10**30}))),
        "a currency of one letter": (bad, event(changed(amount={"total": 1, "currency": "Y"}))),
        "an unknown state": (bad, event(changed(trade_state="MAYBE"))),
        "a time without offset": (bad, event(changed(success_time="2026-11-23T16:00:00"))),
        "a time that is none": (bad, event(changed(success_time="yesterday"))),
        "an unknown state of a refund": (bad, event({**REFUND_NOTICE, "refund_status": "?"}, "REFUND.SUCCESS")),
        "a transaction called a refund": (bad, event(TRANSACTION, "REFUND.SUCCESS")),
    }


@pytest.mark.parametrize(("expected", "body"), unreadable().values(), ids=unreadable())
def test_what_is_signed_and_still_no_good_notice_is_refused_by_name(expected: Verdict, body: bytes) -> None:
    """A good signature excuses nothing: what cannot be read for certain is refused, kept, and can be replayed."""
    assert expected == verdict(callback(body))


@given(st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_no_signed_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    """Even under a good signature, rubbish is refused, never an accident."""
    assert Verdict.MALFORMED == verdict(callback(body))


@given(st.dictionaries(st.sampled_from([*TRANSACTION]), st.none() | st.integers() | st.text(max_size=12)))
@settings(max_examples=60, deadline=None)
def test_no_encrypted_fields_raise_anything_but_a_refusal(fields: dict[str, object]) -> None:
    """Even decrypted, odd values are read or refused, never an accident."""
    assert verdict(notice(changed(**fields))) in (Verdict.VALID, Verdict.MALFORMED)


def test_the_replies_are_the_words_wechat_pay_waits_for() -> None:
    """200 stops the repeats; a refusal says FAIL."""
    assert 200 == WECHAT.accepted().status
    refused = WECHAT.refused(CallbackRefused(Verdict.DECRYPT_FAILED, "why"))
    assert (400, {"code": "FAIL", "message": "失败"}) == (refused.status, json.loads(refused.body))


# Opening ----------------------------------------------------------------------------------------------------------


def opening(method: str = "native", **extra: str) -> Exchange:
    exchange = WECHAT.open(to_open(method, **extra), account(), NOW)
    assert isinstance(exchange, Exchange)
    return exchange


def test_an_opening_is_signed_and_says_all_that_was_agreed() -> None:
    """Amount in fen, the expiry in Beijing time, our callback address; signed by the merchant's key as of now."""
    request = opening().request
    expected = {
        "appid": APPID,
        "mchid": MCHID,
        "description": "two tickets",
        "out_trade_no": "pay1",
        "time_expire": "2026-11-23T16:30:00+08:00",
        "notify_url": TABLE["notify_url"],
        "amount": {"total": 1250, "currency": "CNY"},
    }
    assert expected == sent(request)
    assert ("POST", "/v3/pay/transactions/native") == (request.method, request.target)
    parts = authorized(request)
    assert (MCHID, TABLE["certificate_serial"], str(NOW_S)) == (
        parts["mchid"],
        parts["serial_no"],
        parts["timestamp"],
    )


def test_no_two_requests_carry_the_same_nonce() -> None:
    """The nonce is chance, so that a recorded request is not good for another."""
    assert authorized(opening().request)["nonce_str"] != authorized(opening().request)["nonce_str"]


def test_jsapi_hands_over_parameters_that_are_signed_already() -> None:
    """What WeixinJSBridge gets is signed over app, time, nonce and package, each on its line."""
    exchange = opening("jsapi", openid="o-1")
    assert {"openid": "o-1"} == sent(exchange.request)["payer"]
    outcome = exchange.read(answer({"prepay_id": "wx1"}), NOW)
    assert isinstance(outcome, Success)
    got = outcome.pay_with
    signed = f"{APPID}\n{NOW_S}\n{got['nonceStr']}\nprepay_id=wx1\n".encode()
    key("merchant").public_key().verify(base64.b64decode(got["paySign"]), signed, PKCS1v15(), SHA256())
    shown = {name: got[name] for name in ("appId", "timeStamp", "package", "signType")}
    assert {"appId": APPID, "timeStamp": str(NOW_S), "package": "prepay_id=wx1", "signType": "RSA"} == shown


def test_h5_says_from_where_the_customer_comes() -> None:
    """A page in a phone's browser needs the customer's address."""
    request = opening("h5", payer_client_ip="203.0.113.7").request
    assert {"payer_client_ip": "203.0.113.7", "h5_info": {"type": "Wap"}} == sent(request)["scene_info"]


@pytest.mark.parametrize("payment", [to_open(currency="USD"), to_open(amount_minor=0), to_open("app")])
def test_what_wechat_pay_cannot_take_is_refused_before_sending(payment) -> None:
    """Another currency, no amount, another method."""
    with pytest.raises(InvalidRequest):
        WECHAT.open(payment, account(), NOW)


def test_an_expiry_that_is_over_is_refused_before_sending() -> None:
    """Nobody could pay it."""
    with pytest.raises(InvalidRequest, match="expires_at"):
        WECHAT.open(to_open(), account(), NOW + timedelta(minutes=30))


@pytest.mark.parametrize(
    ("description", "expected"),
    [("门票" * 40, "门票" * 21), ("", "pay1"), ("  two  ", "two")],
)
def test_a_description_fits_into_127_bytes(description: str, expected: str) -> None:
    """It is cut between characters, and never empty."""
    payment = msgspec.structs.replace(to_open(), description=description)
    exchange = WECHAT.open(payment, account(), NOW)
    assert isinstance(exchange, Exchange)
    assert expected == sent(exchange.request)["description"]


def test_an_opening_answered_without_a_code_is_in_doubt() -> None:
    """It was accepted, so it is no refusal; there is nothing to pay with, so it is no success."""
    assert isinstance(opening().read(answer({"prepay_id": "wx1"}), NOW), Unknown)


@pytest.mark.parametrize(("table", "expected"), [(TABLE, PUBLIC_KEY_ID), ({**TABLE, "public_keys": {}}, None)])
def test_the_answers_key_is_chosen_when_there_is_a_public_key(table, expected: str | None) -> None:
    """Wechatpay-Serial asks for answers under our public key while the account is moved from certificates."""
    chosen = WECHAT.parse_account("main", table, files())
    request = WECHAT.query(name_of(), chosen, NOW).request
    assert expected == dict(request.headers).get("wechatpay-serial")


# Answers ----------------------------------------------------------------------------------------------------------


DEEDS = (
    WECHAT.open(to_open(), account(), NOW),
    WECHAT.close(name_of(), account(), NOW),
    WECHAT.refund(refund_of(), account(), NOW),
)
QUESTIONS = (WECHAT.query(name_of(), account(), NOW), WECHAT.query_refund(refund_of(), account(), NOW))


def outcomes(exchanges, response: Response) -> set[type[Outcome]]:
    return {type(exchange.read(response, NOW)) for exchange in exchanges}


@pytest.mark.parametrize(
    ("status", "code", "deed", "question"),
    [
        (400, "PARAM_ERROR", Declined, Declined),
        (403, "RULE_LIMIT", Declined, Retryable),
        (401, "SIGN_ERROR", Retryable, Retryable),
        (429, "FREQUENCY_LIMITED", Retryable, Retryable),
        (429, "", Retryable, Retryable),
        (400, "FREQUENCY_LIMITED", Retryable, Retryable),
        (403, "FREQUENCY_LIMIT_EXCEED", Retryable, Retryable),
        (403, "RATELIMIT_EXCEED", Retryable, Retryable),
        (403, "RATELIMIT_EXCEEDED", Retryable, Retryable),
        (400, "SYSTEM_ERROR", Unknown, Retryable),
        (400, "SYSTEMERROR", Unknown, Retryable),
        (400, "BANK_ERROR", Unknown, Retryable),
        (400, "BANKERROR", Unknown, Retryable),
        (500, "SYSTEM_ERROR", Unknown, Retryable),
        (502, "", Unknown, Retryable),
        (202, "USERPAYING", Unknown, Retryable),
        (302, "MOVED", Unknown, Retryable),
    ],
)
def test_each_error_says_what_is_certain(status: int, code: str, deed, question) -> None:
    """A refusal is final; a limit did nothing; trouble leaves a deed open, and a question is asked again."""
    assert ({deed}, {question}) == (outcomes(DEEDS, error(status, code)), outcomes(QUESTIONS, error(status, code)))


def test_a_refusal_without_a_word_bears_its_status() -> None:
    """People search for a refusal by its code, so that none is empty."""
    told = [exchange.read(error(404, ""), NOW) for exchange in (*DEEDS, *QUESTIONS)]
    assert {"HTTP_404"} == {it.code for it in told if isinstance(it, Declined)}
    assert 5 == len([it for it in told if isinstance(it, Declined)])


def untrusted(of: object, status: int) -> Mapping[str, Response]:
    """An answer with each thing that can be wrong with its signature."""
    good = answer(of, status)
    body = good.body
    return {
        "no signature": Response(status, (), body),
        "another signer": Response(status, signed_headers(body, signer="stranger"), body),
        "an unknown key": Response(status, signed_headers(body, serial="ABCDEF"), body),
        "an old answer": Response(status, signed_headers(body, at_s=NOW_S - 300), body),
        "another body": Response(status, good.headers, body + b" "),
        "a probe": Response(status, (*signed_headers(body)[:2], ("wechatpay-signature", "WECHATPAY/SIGNTEST/A")), body),
    }


@pytest.mark.parametrize("which", untrusted(TRANSACTION, 200))
@pytest.mark.parametrize(
    ("of", "status"),
    [
        (TRANSACTION, 200),
        ({"code_url": "weixin://1"}, 200),
        (REFUND, 200),
        (None, 204),
        ({"code": "ORDER_NOT_EXIST"}, 404),
        ({"code": "SIGN_ERROR"}, 401),
        ({"code": "FREQUENCY_LIMITED"}, 429),
    ],
)
def test_an_answer_that_is_not_truly_signed_proves_nothing(of: object, status: int, which: str) -> None:
    """Neither yes nor no is believed: a deed stays open, a question is asked again."""
    response = untrusted(of, status)[which]
    assert ({Unknown}, {Retryable}) == (outcomes(DEEDS, response), outcomes(QUESTIONS, response))


def test_a_certificate_may_sign_answers_too() -> None:
    """Until the move to a public key is done, answers come under either."""
    body = json.dumps(TRANSACTION).encode()
    response = Response(200, signed_headers(body, signer="platform", serial=CERTIFICATE_SERIAL), body)
    assert isinstance(QUESTIONS[0].read(response, NOW), Success)


def test_a_query_asks_by_our_number_and_brings_the_channels() -> None:
    """An unpaid trade is known by no other number; the answer is evidence by the road of asking."""
    request = QUESTIONS[0].request
    assert ("GET", f"/v3/pay/transactions/out-trade-no/pay1?mchid={MCHID}") == (request.method, request.target)
    authorized(request)
    outcome = QUESTIONS[0].read(answer(TRANSACTION), NOW)
    assert isinstance(outcome, Success)
    (told,) = outcome.evidence
    assert ("query:pay1:SUCCESS", Road.QUERY, account().payee) == (told.key, told.road, told.payee)
    assert TRANSACTION["transaction_id"] == outcome.channel_txn_id == told.channel_txn_id


def test_the_answer_to_a_query_tells_all_of_the_payment() -> None:
    """Under both numbers, with its amount and its receiver, when it was paid and when the answer came."""
    later = NOW + timedelta(seconds=2)
    expected = PaymentEvidence(
        road=Road.QUERY, channel="wechat", account="main", key="query:pay1:SUCCESS", received_at=later,
        occurred_at=datetime(2026, 11, 23, 7, 59, 58, tzinfo=UTC), merchant_ref="pay1",
        channel_txn_id="4200000000202611230000000001", amount=Money(1250, "CNY"), payee=f"{MCHID}/{APPID}",
        note="SUCCESS", says=PaymentSays.PAID,
    )  # fmt: skip
    told = Success((expected,), channel_txn_id="4200000000202611230000000001")
    assert told == QUESTIONS[0].read(answer(TRANSACTION), later)


def test_a_number_with_odd_characters_stays_one_segment() -> None:
    """A payment that the shop opened itself may carry a number with characters that mean something in a URL."""
    name = msgspec.structs.replace(name_of(), merchant_ref="a/b?c|*")
    path, _, _ = WECHAT.query(name, account(), NOW).request.target.partition("?")
    assert "/v3/pay/transactions/out-trade-no/a%2Fb%3Fc%7C%2A" == path


def test_a_number_that_is_empty_is_none() -> None:
    """An unpaid trade may state its number as empty: it is known and not paid, and can be closed."""
    outcome = QUESTIONS[0].read(answer(changed(trade_state="NOTPAY", transaction_id="", success_time="")), NOW)
    assert isinstance(outcome, Success)
    (found,) = outcome.evidence
    assert (PaymentSays.WAITING, None, None) == (found.says, found.channel_txn_id, outcome.channel_txn_id)


def test_an_unpaid_trade_is_waiting() -> None:
    """NOTPAY states neither a transaction nor a time."""
    unpaid = {k: v for k, v in TRANSACTION.items() if k not in ("transaction_id", "success_time", "payer")}
    outcome = QUESTIONS[0].read(answer({**unpaid, "trade_state": "NOTPAY", "success_time": ""}), NOW)
    assert isinstance(outcome, Success)
    assert [(PaymentSays.WAITING, None)] == [(e.says, e.occurred_at) for e in outcome.evidence]


@pytest.mark.parametrize("response", [answer(changed(trade_state="MAYBE")), answer([]), answer(None)])
def test_an_answer_that_is_not_understood_is_asked_for_again(response: Response) -> None:
    """Signed, but of a state or form that WeChat Pay does not document."""
    assert isinstance(QUESTIONS[0].read(response, NOW), Retryable)


@pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "ORDERNOTEXIST"])
def test_a_trade_that_is_not_known_is_told_whole(code: str) -> None:
    """Whose it is, when it was said and in which word, under a key of its own; WeChat Pay writes the word both ways."""
    later = NOW + timedelta(seconds=2)
    expected = PaymentEvidence(
        road=Road.QUERY, channel="wechat", account="main", key=f"query:pay1:{code}", received_at=later,
        merchant_ref="pay1", note=code, says=PaymentSays.NOT_FOUND,
    )  # fmt: skip
    assert Success((expected,)) == QUESTIONS[0].read(error(404, code), later)


@pytest.mark.parametrize("other", ["pay", "pay10", "1pay1", "PAY1"])
def test_a_number_that_is_nearly_ours_is_anothers(other: str) -> None:
    """An answer about pay10 says nothing of pay1, nor one about ref10 of ref1."""
    outcome = QUESTIONS[0].read(answer(changed(out_trade_no=other)), NOW)
    assert isinstance(outcome, Retryable)
    assert f"asked about pay1, answered about {other}" in outcome.why
    refund = answer({**REFUND, "out_refund_no": other.replace("pay", "ref").replace("PAY", "REF")})
    assert [Unknown, Retryable] == [type(x.read(refund, NOW)) for x in (DEEDS[2], QUESTIONS[1])]


def test_closing_is_sent_with_the_merchants_number() -> None:
    """The body names the merchant, the path the trade."""
    request = DEEDS[1].request
    assert ({"mchid": MCHID}, "/v3/pay/transactions/out-trade-no/pay1/close") == (sent(request), request.target)


@pytest.mark.parametrize(
    ("response", "note"),
    [
        (answer(None, 204), "CLOSED"),
        (error(400, "ORDER_CLOSED"), "ORDER_CLOSED"),
        (error(400, "ORDERCLOSED"), "ORDERCLOSED"),
        (error(404, "ORDER_NOT_EXIST"), "ORDER_NOT_EXIST"),
        (error(404, "ORDERNOTEXIST"), "ORDERNOTEXIST"),
    ],
)
def test_what_nobody_can_pay_is_closed(response: Response, note: str) -> None:
    """Closed now, closed already, or never there: a code is handed out only together with a trade. It is told whose
    that was, and when the answer came."""
    later = NOW + timedelta(seconds=2)
    expected = PaymentEvidence(
        road=Road.QUERY, channel="wechat", account="main", key=f"query:pay1:{note}", received_at=later,
        merchant_ref="pay1", note=note, says=PaymentSays.CLOSED,
    )  # fmt: skip
    assert Success((expected,)) == DEEDS[1].read(response, later)


@pytest.mark.parametrize("code", ["SYSTEM_ERROR", "ORDERPAID", "ORDER_CLOSED"])
def test_an_error_that_comes_as_a_success_closes_nothing(code: str) -> None:
    """Whatever it says, the trade may still be paid, or is: it is asked about again."""
    assert isinstance(DEEDS[1].read(error(200, code), NOW), Unknown)


@pytest.mark.parametrize("code", ["ORDERPAID", "ORDER_PAID"])
def test_a_paid_trade_is_not_closed(code: str) -> None:
    """ORDERPAID is told as such, and the payment is then asked about."""
    outcome = DEEDS[1].read(error(400, code), NOW)
    assert isinstance(outcome, Declined)
    assert code == outcome.code


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("PROCESSING", RefundSays.PENDING),
        ("SUCCESS", RefundSays.SUCCEEDED),
        ("ABNORMAL", RefundSays.FAILED),
        ("CLOSED", RefundSays.FAILED),
    ],
)
def test_each_state_of_a_refund_has_one_meaning(state: str, says: RefundSays) -> None:
    """Sent or asked about, the answer is the same object; its amount is the refund's own."""
    for exchange in (DEEDS[2], QUESTIONS[1]):
        outcome = exchange.read(answer({**REFUND, "status": state}), NOW)
        assert isinstance(outcome, Success)
        (told,) = outcome.evidence
        assert (says, Money(500, "CNY"), f"query:ref1:{state}") == (told.says, told.amount, told.key)
        assert (Road.QUERY, "ref1", "pay1") == (told.road, told.merchant_refund_ref, told.merchant_ref)


def test_the_answer_about_a_refund_tells_all_of_it() -> None:
    """Which refund of which payment, under all four numbers, how much, when it was there and when the answer came. It
    names no receiver: it is authentic by the account that was asked."""
    later = NOW + timedelta(seconds=2)
    expected = RefundEvidence(
        road=Road.QUERY, channel="wechat", account="main", key="query:ref1:SUCCESS", received_at=later,
        occurred_at=NOW, merchant_ref="pay1", channel_txn_id="4200000000202611230000000001", amount=Money(500, "CNY"),
        note="SUCCESS", says=RefundSays.SUCCEEDED, merchant_refund_ref="ref1",
        channel_refund_id="50000000002026112300000000001",
    )  # fmt: skip
    assert [Success((expected,))] * 2 == [it.read(answer(REFUND), later) for it in (DEEDS[2], QUESTIONS[1])]


def test_a_refund_is_sent_with_both_amounts_and_both_numbers() -> None:
    """The refund's own amount and the payment's, in fen; the reason cut to what WeChat Pay takes."""
    exchange = WECHAT.refund(refund_of("退" * 80), account(), NOW)
    expected = {
        "out_trade_no": "pay1",
        "out_refund_no": "ref1",
        "notify_url": TABLE["notify_url"],
        "amount": {"refund": 500, "total": 1250, "currency": "CNY"},
        "reason": "退" * 26,
    }
    assert expected == sent(exchange.request)
    assert ("POST", "/v3/refund/domestic/refunds") == (exchange.request.method, exchange.request.target)
    assert "reason" not in sent(WECHAT.refund(refund_of(""), account(), NOW).request)


@pytest.mark.parametrize("length", [80, 81])
def test_a_reason_may_fill_all_that_wechat_pay_takes(length: int) -> None:
    """80 bytes, and not one more: a longer one would be refused, and the refund with it."""
    assert "x" * 80 == sent(WECHAT.refund(refund_of("x" * length), account(), NOW).request)["reason"]


def test_wechat_pay_gives_back_yuan_only() -> None:
    """A refund of another currency is a mistake of ours, and is not sent."""
    with pytest.raises(InvalidRequest, match="gives back CNY"):
        WECHAT.refund(msgspec.structs.replace(refund_of(), money=Money(500, "USD")), account(), NOW)


def test_a_refund_is_asked_for_by_its_own_number_in_one_segment() -> None:
    """Not by the payment's, which may have many; and a character that means something in a URL means nothing here."""
    assert "/v3/refund/domestic/refunds/ref1" == QUESTIONS[1].request.target
    odd = msgspec.structs.replace(refund_of(), merchant_refund_ref="a/b?c")
    assert "/v3/refund/domestic/refunds/a%2Fb%3Fc" == WECHAT.query_refund(odd, account(), NOW).request.target


@pytest.mark.parametrize("code", ["RESOURCE_NOT_EXISTS", "RESOURCE_NOT_EXIST"])
def test_an_unknown_refund_is_not_found_and_nothing_else_is(code: str) -> None:
    """Only WeChat Pay's own word for it counts, and it is told of which refund of which payment: a 404 of another kind
    is no answer to the question."""
    later = NOW + timedelta(seconds=2)
    paid = msgspec.structs.replace(name_of(), channel_txn_id="4200")
    question = WECHAT.query_refund(msgspec.structs.replace(refund_of(), payment=paid), account(), NOW)
    expected = RefundEvidence(
        road=Road.QUERY, channel="wechat", account="main", key=f"query:ref1:{code}", received_at=later,
        merchant_ref="pay1", channel_txn_id="4200", note=code, says=RefundSays.NOT_FOUND, merchant_refund_ref="ref1",
    )  # fmt: skip
    assert Success((expected,)) == question.read(error(404, code), later)
    assert outcomes(QUESTIONS, error(404, "NO_SUCH_PATH")) == {Declined}


def test_an_answer_about_another_refund_leaves_it_open() -> None:
    """A refund that was answered with another one's number may have been sent."""
    other = answer({**REFUND, "out_refund_no": "ref2"})
    assert [Unknown, Retryable] == [type(x.read(other, NOW)) for x in (DEEDS[2], QUESTIONS[1])]


# Certificates -----------------------------------------------------------------------------------------------------


NEW_SERIAL = "5E11A1"


def brought(pem: bytes, *, with_key: bytes = APIV3_KEY, signer: str = "next", signed_as: str = NEW_SERIAL) -> Response:
    """The answer of GET /v3/certificates with one certificate, signed by the very key it brings."""
    box = {**sealed(pem, with_key=with_key, beside="certificate")}
    body = json.dumps({"data": [{"serial_no": NEW_SERIAL, "encrypt_certificate": box}]}).encode()
    return Response(200, signed_headers(body, signer=signer, serial=signed_as), body)


def test_new_certificates_are_taken_from_an_answer_that_they_sign() -> None:
    """What opens with our APIv3 key came from WeChat Pay, so the first sight of a new certificate is trusted."""
    pem = certificate("next", NEW_SERIAL)
    exchange = certificates(account(), NOW)
    assert "/v3/certificates" == exchange.request.target
    assert Success(pay_with={NEW_SERIAL: pem.decode()}) == exchange.read(brought(pem), NOW)


@pytest.mark.parametrize(
    "response",
    [
        brought(certificate("next", "ABC"), signer="wechat", signed_as=PUBLIC_KEY_ID),
        brought(certificate("next", NEW_SERIAL), with_key=b"x" * 32),
        brought(certificate("next", NEW_SERIAL), signer="stranger"),
        brought(b"no certificate", signer="wechat", signed_as=PUBLIC_KEY_ID),
        answer({"data": [{}]}),
        error(500, "SYSTEM_ERROR"),
    ],
    ids=["another serial", "another APIv3 key", "another signer", "no certificate", "no list", "trouble"],
)
def test_certificates_that_do_not_fit_are_not_taken(response: Response) -> None:
    """A serial that is not the certificate's, a box that does not open, a signature that does not fit."""
    assert isinstance(certificates(account(), NOW).read(response, NOW), Retryable)


# Accounts ---------------------------------------------------------------------------------------------------------


def test_the_keys_are_shown_by_serial_with_their_expiry() -> None:
    """Merchant key, public key, certificate and APIv3 keys, each by the name that messages and people give it."""
    expected = [
        ("sign requests", str(TABLE["certificate_serial"]), None),
        ("verify callbacks and answers", PUBLIC_KEY_ID, None),
        ("verify callbacks and answers", CERTIFICATE_SERIAL.lstrip("0"), NOW + timedelta(days=5 * 365)),
        ("decrypt callbacks", "APIv3 key 1", None),
        ("decrypt callbacks", "APIv3 key 2", None),
    ]
    assert expected == [(shown.use, shown.name, shown.expires_at) for shown in WECHAT.keys(account())]


def test_apiv3_keys_do_not_print() -> None:
    """A traceback or a log line that shows an account's fields shows no secret."""
    assert "(Secret(***), Secret(***))" == repr(account().apiv3_keys)


def weak_pem() -> bytes:
    weak = rsa.generate_private_key(65537, 1024)
    return weak.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def curve_pem() -> bytes:
    curve = ec.generate_private_key(ec.SECP256R1())
    return curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("table", "beside", "match"),
    [
        ({"apiv3_keys": []}, {}, "apiv3_keys must be a list"),
        ({}, {"apiv3.key": b"testMchAPIv3Key0"}, "'apiv3.key' has 16 bytes; an APIv3 key has 32"),
        ({}, {"apiv3.key": b"x" * 33}, "has 33 bytes"),
        ({}, {"merchant_key.pem": public_pem("merchant")}, "private_key"),
        ({}, {"merchant_key.pem": curve_pem()}, "must be an RSA key"),
        ({}, {"platform.pem": public_pem("platform")}, "'platform.pem' is no RSA certificate"),
        ({}, {"wechat_public.pem": weak_pem()}, "2048 bits"),
        ({}, {"wechat_public.pem": certificate("platform")}, "'wechat_public.pem' is no public key"),
        ({"public_keys": {"0A1B": "wechat_public.pem"}}, {}, "ids begin with PUB_KEY_ID_"),
        ({"public_keys": {PUBLIC_KEY_ID: "gone.pem"}}, {}, "'gone.pem'"),
        ({"public_keys": ["wechat_public.pem"]}, {}, "must be a table"),
        ({"mchid": "19x"}, {}, "mchid must be the merchant's number"),
        ({"appid": 'wx"1'}, {}, "appid must be the app's id"),
        ({"certificate_serial": "no hex"}, {}, "certificate_serial must be"),
        ({"notify_url": "https://pay.example/callbacks?x=1"}, {}, "notify_url must carry no query"),
    ],
)
def test_an_account_that_cannot_work_is_told_at_once(table, beside, match: str) -> None:
    """The message names what is wrong and the file it stands in."""
    with pytest.raises(ConfigError, match=match):
        WECHAT.parse_account("main", {**TABLE, **table}, {**files(), **beside})


def test_an_account_needs_a_key_of_wechat_pay() -> None:
    """Without a platform certificate and without a public key nothing could be verified."""
    without = {k: v for k, v in TABLE.items() if k not in ("public_keys", "platform_certificates")}
    with pytest.raises(ConfigError, match="public_keys or platform_certificates"):
        WECHAT.parse_account("main", without, files())


def test_two_accounts_do_not_read_each_others_notices() -> None:
    """Each account has its own keys: what is signed for one is unknown to the other."""
    table = {**TABLE, "mchid": "1900000002", "public_keys": {"PUB_KEY_ID_2": "wechat_public.pem"}}
    other = WECHAT.parse_account("second", table, {**files(), "wechat_public.pem": public_pem("second")})
    with pytest.raises(CallbackRefused, match=re.escape("unknown_key")):
        WECHAT.read_callback(notice(), other, NOW)
