"""Alipay: notices, the gateway's answers, and what they mean."""

import base64
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from alipay_side import (
    NOW,
    PAID,
    SELLER_ID,
    TABLE,
    account,
    answer,
    changed,
    checked,
    files,
    key,
    name_of,
    notice,
    parameters,
    private_pem,
    public_pem,
    refund_of,
    to_open,
)
from paidup.channels.alipay import ALIPAY
from paidup.channels.alipay.trade import moment, payment_says, yuan
from paidup.channels.messages import CallbackRequest, Declined, Exchange, Response, Retryable, Success, Unknown
from paidup.errors import CallbackRefused, ConfigError, InvalidRequest, Verdict
from paidup.evidence import PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road
from paidup.money import Money

PAID_KEY = f"{PAID['notify_id']}:TRADE_SUCCESS"


def verdict(request: CallbackRequest) -> Verdict:
    try:
        ALIPAY.read_callback(request, account(), NOW)
    except CallbackRefused as refused:
        return refused.verdict
    return Verdict.VALID


def evidence(request: CallbackRequest):
    return ALIPAY.read_callback(request, account(), NOW).evidence


def swap(request: CallbackRequest, old: bytes, new: bytes) -> CallbackRequest:
    return CallbackRequest(request.method, request.target, request.headers, request.body.replace(old, new))


# Notices ----------------------------------------------------------------------------------------------------------


def test_a_paid_notice_is_evidence_with_amount_receiver_and_time() -> None:
    """TRADE_SUCCESS says PAID, in fen, to app and seller, at Beijing time turned into UTC."""
    expected = PaymentEvidence(
        road=Road.CALLBACK,
        channel="alipay",
        account="main",
        key=PAID_KEY,
        received_at=NOW,
        occurred_at=datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
        merchant_ref="pay1",
        channel_txn_id=PAID["trade_no"],
        amount=Money(1250, "CNY"),
        payee=account().payee,
        note="TRADE_SUCCESS",
        says=PaymentSays.PAID,
    )
    reading = ALIPAY.read_callback(notice(), account(), NOW)
    assert (PAID_KEY, "TRADE_SUCCESS", (expected,)) == (reading.key, reading.kind, reading.evidence)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("WAIT_BUYER_PAY", PaymentSays.WAITING),
        ("TRADE_FINISHED", PaymentSays.PAID),
        ("TRADE_CLOSED", PaymentSays.CLOSED),
    ],
)
def test_each_status_has_one_meaning(status: str, says: PaymentSays) -> None:
    """Without a refund, TRADE_CLOSED means that nobody paid in time."""
    assert [says] == [it.says for it in evidence(notice(changed(trade_status=status)))]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"refund_fee": "0.00"}, PaymentSays.CLOSED),
        ({"refund_fee": "0.01"}, PaymentSays.GIVEN_BACK),
        ({"gmt_refund": "2026-11-23 17:00:00"}, PaymentSays.GIVEN_BACK),
    ],
)
def test_a_closed_trade_was_paid_where_any_sign_of_a_refund_stands(fields: dict[str, str], says: PaymentSays) -> None:
    """refund_fee or gmt_refund is enough; a sum of nothing is no refund, and the trade was never paid."""
    assert says is payment_says({"trade_status": "TRADE_CLOSED", **fields})


@pytest.mark.parametrize(
    "text", ["", "12.", ".50", "12.345", "-1.00", "+1.00", "1e3", "1,000.00", "１２.50", "12.50\n"]
)
def test_what_is_no_plain_sum_in_yuan_is_refused(text: str) -> None:
    """Alipay writes 12.50, and a sum that is read otherwise than it was meant is worse than none."""
    with pytest.raises(InvalidRequest, match="is no amount in yuan"):
        yuan(text)


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-23", "2026-11-23T16:00:00", "2026-11-23 16:00:00+02:00", "2026-11-23 16:00:00Z",
     "2026-11-31 16:00:00", "2026-11-23 24:00:00", "2026-11-23 16:00:00.1234567"],
)  # fmt: skip
def test_what_is_no_time_as_alipay_writes_it_is_refused(text: str) -> None:
    """It is Beijing time without a zone; one that names a zone would be read as another moment."""
    with pytest.raises(InvalidRequest, match="is no time"):
        moment(text)


def test_a_refunds_time_may_bear_a_fraction_of_a_second() -> None:
    """Tenths, as well as milliseconds."""
    assert datetime(2026, 11, 23, 9, 0, 0, 500_000, UTC) == moment("2026-11-23 17:00:00.5")
    assert datetime(2026, 11, 23, 9, 0, 0, 123_000, UTC) == moment("2026-11-23 17:00:00.123")


def test_a_status_without_money_is_read_without_evidence() -> None:
    """A status that Alipay may add is stored and acknowledged, and changes nothing."""
    assert () == evidence(notice(changed(trade_status="TRADE_PENDING")))


def test_a_partial_refund_tells_of_the_payment_and_of_the_refund_without_its_amount() -> None:
    """refund_fee sums up all refunds so far, so the single refund's amount is left open and the sum stands in words."""
    fields = changed(refund_fee="5.00", gmt_refund="2026-11-23 17:00:00.123", out_biz_no="ref1")
    paid, refund = evidence(notice(fields))
    assert (PaymentSays.PAID, Money(1250, "CNY")) == (paid.says, paid.amount)
    assert ("ref1", None, RefundSays.SUCCEEDED) == (refund.merchant_refund_ref, refund.amount, refund.says)
    assert refund.so_far is None
    assert "TRADE_SUCCESS, 5.00 of 12.50 given back so far" == refund.note
    assert datetime(2026, 11, 23, 9, 0, 0, 123000, tzinfo=UTC) == refund.occurred_at


@pytest.mark.parametrize(
    ("status", "happened"),
    [
        ("WAIT_BUYER_PAY", datetime(2026, 11, 23, 7, 59, 50, tzinfo=UTC)),
        ("TRADE_SUCCESS", datetime(2026, 11, 23, 8, 0, tzinfo=UTC)),
        ("TRADE_CLOSED", datetime(2026, 11, 23, 8, 30, tzinfo=UTC)),
    ],
)
def test_each_status_has_its_own_time(status: str, happened: datetime) -> None:
    """A trade waits since it was made, is paid when it was paid, and is closed when it was closed."""
    fields = changed(trade_status=status, gmt_close="2026-11-23 16:30:00")
    assert [happened] == [it.occurred_at for it in evidence(notice(fields))]


def test_the_notice_of_a_refund_tells_all_that_it_states() -> None:
    """Which refund of which trade, whose it is and when the money went, under a key of its own."""
    fields = changed(refund_fee="5.00", gmt_refund="2026-11-23 17:00:00.123", out_biz_no="ref1")
    reading = ALIPAY.read_callback(notice(fields), account(), NOW)
    expected = RefundEvidence(
        road=Road.CALLBACK, channel="alipay", account="main", key=f"{PAID_KEY}:ref1:5.00:refund", received_at=NOW,
        occurred_at=datetime(2026, 11, 23, 9, 0, 0, 123_000, UTC), merchant_ref="pay1",
        channel_txn_id=PAID["trade_no"], payee=account().payee, merchant_refund_ref="ref1",
        note="TRADE_SUCCESS, 5.00 of 12.50 given back so far", says=RefundSays.SUCCEEDED,
    )  # fmt: skip
    assert (f"{PAID_KEY}:ref1:5.00", expected) == (reading.key, reading.evidence[1])


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"refund_fee": "0.00"}, [PaymentEvidence]),
        ({"refund_fee": "0.00", "gmt_refund": "2026-11-23 17:00:00"}, [PaymentEvidence]),
        ({"refund_fee": "0.01"}, [PaymentEvidence, RefundEvidence]),
        ({"gmt_refund": "2026-11-23 17:00:00"}, [PaymentEvidence, RefundEvidence]),
    ],
)
def test_a_sum_of_nothing_is_no_refund(fields: dict[str, str], kinds: list[type]) -> None:
    """A sum decides where there is one; a time alone tells of a refund, too."""
    assert kinds == [type(it) for it in evidence(notice(changed(**fields)))]


def test_a_whole_refund_without_its_sum_gave_back_the_whole() -> None:
    """TRADE_CLOSED with the time of a refund alone: all of it went back."""
    _, refund = evidence(notice(changed(trade_status="TRADE_CLOSED", gmt_refund="2026-11-23 17:00:00")))
    assert Money(1250, "CNY") == refund.so_far
    assert "TRADE_CLOSED, an unstated part of 12.50 given back so far" == refund.note
    less = changed(trade_status="TRADE_CLOSED", gmt_refund="2026-11-23 17:00:00", refund_fee="12.40")
    assert Money(1240, "CNY") == evidence(notice(less))[1].so_far


@pytest.mark.parametrize("field", ["trade_status", "out_biz_no", "refund_fee"])
def test_what_differs_between_two_notices_is_in_their_keys(field: str) -> None:
    """Should Alipay ever give two of them one notify_id, none passes for a repeat of the other."""
    one = changed(refund_fee="5.00", out_biz_no="ref1")
    other = {**one, field: {"trade_status": "TRADE_FINISHED", "out_biz_no": "ref2", "refund_fee": "7.00"}[field]}
    assert 2 == len({ALIPAY.read_callback(notice(it), account(), NOW).key for it in (one, other)})


@pytest.mark.parametrize(("length", "expected"), [(200, Verdict.VALID), (201, Verdict.MALFORMED)])
def test_a_key_holds_the_longest_numbers(length: int, expected: Verdict) -> None:
    """A notify_id has some 30 characters, and Alipay takes numbers of refunds of up to 64."""
    rest = len(":TRADE_SUCCESS")
    assert expected == verdict(notice(changed(notify_id="9" * (length - rest))))


def test_closed_after_a_full_refund_was_paid_first() -> None:
    """TRADE_CLOSED with refund_fee is a payment that was paid and wholly given back, never an unpaid one; the sum is
    told as a sum, for several refunds may have made it up."""
    fields = changed(trade_status="TRADE_CLOSED", refund_fee="12.50", gmt_refund="2026-11-23 17:00:00", out_biz_no="r")
    paid, refund = evidence(notice(fields))
    assert (PaymentSays.GIVEN_BACK, datetime(2026, 11, 23, 8, 0, tzinfo=UTC)) == (paid.says, paid.occurred_at)
    assert (RefundSays.SUCCEEDED, None, Money(1250, "CNY")) == (refund.says, refund.amount, refund.so_far)


def test_two_refunds_of_one_trade_have_different_keys() -> None:
    """Even if Alipay gave both notices one notify_id, the second would not pass for a repeat of the first."""
    keys = {
        ALIPAY.read_callback(notice(changed(refund_fee=sum_, out_biz_no=number)), account(), NOW).key
        for sum_, number in (("5.00", "ref1"), ("7.00", "ref2"))
    }
    assert 2 == len(keys)


@pytest.mark.parametrize("name", ["seller_id", "app_id"])
def test_another_receiver_is_stated_as_such(name: str) -> None:
    """A notice for another app or seller names that one, so that the door sees the difference."""
    assert account().payee != evidence(notice(changed(**{name: "2088999999999999"})))[0].payee


def test_a_receiver_that_is_not_stated_is_not_compared() -> None:
    """Half of the receiver is completed from the account; when neither half is stated there is nothing to compare."""
    neither = {name: value for name, value in PAID.items() if name not in ("app_id", "seller_id")}
    for half in ("app_id", "seller_id"):
        assert account().payee == evidence(notice({**neither, half: PAID[half]}))[0].payee
        assert account().payee != evidence(notice({**neither, half: "2088999999999999"}))[0].payee
    assert evidence(notice(neither))[0].payee is None


@pytest.mark.parametrize("charset", ["gbk", "gb2312", "GBK"])
def test_a_gbk_notice_is_verified_as_bytes_and_then_decoded(charset: str) -> None:
    """The signature covers gbk bytes; the text is Chinese afterwards."""
    fields = changed(charset=charset, out_trade_no="订单1")
    assert "订单1" == evidence(notice(fields, charset="gbk"))[0].merchant_ref


def test_values_are_decoded_once_and_never_trimmed() -> None:
    """Percent signs, plus signs, entities and spaces in a value reach us as they were signed."""
    fields = changed(out_trade_no=" 50%25+&quot;=1 ")
    assert " 50%25+&quot;=1 " == evidence(notice(fields))[0].merchant_ref


def test_blank_fields_may_be_signed_or_left_out() -> None:
    """Alipay's own libraries differ; a blank field counts as absent, so both say the same."""
    fields = changed(passback_params="")
    assert evidence(notice()) == evidence(notice(fields)) == evidence(notice(fields, sign_blanks=False))


@pytest.mark.parametrize("sign_blanks", [True, False])
def test_a_blank_field_excuses_no_forgery(sign_blanks: bool) -> None:
    """Whether it is signed or left out: what Alipay did not sign is nobody's payment."""
    forged = notice(changed(passback_params=""), signer="stranger", sign_blanks=sign_blanks)
    assert Verdict.INVALID_SIGNATURE == verdict(forged)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (notice(signer="stranger"), "compare their fingerprints with the console"),
        (swap(notice(), b"&sign=", b"&sign=%2A"), "there is no sign in strict base64"),
        (swap(notice(), b"&sign=", b"&signature="), "there is no sign in strict base64"),
    ],
    ids=["another key", "no base64", "no sign"],
)
def test_a_refusal_of_a_signature_says_what_to_look_at(request_: CallbackRequest, words: str) -> None:
    """At the keys when none of them signed it, and at the message when there is no signature in it."""
    with pytest.raises(CallbackRefused, match=words):
        ALIPAY.read_callback(request_, account(), NOW)


def test_an_old_and_a_new_key_are_accepted_at_once() -> None:
    """While Alipay's key is exchanged, notices signed with either are good."""
    table = {**TABLE, "alipay_public_keys": ["new.pem", "alipay_public.pem"]}
    both = ALIPAY.parse_account("main", table, {**files(), "new.pem": public_pem("alipay-new")})
    for signer in ("alipay", "alipay-new"):
        assert PAID_KEY == ALIPAY.read_callback(notice(signer=signer), both, NOW).key


def test_a_notice_of_another_kind_says_nothing_about_money() -> None:
    """It is verified and kept; there is no evidence in it."""
    reading = ALIPAY.read_callback(notice(changed(notify_type="fund_auth_freeze")), account(), NOW)
    assert (PAID["notify_id"], "fund_auth_freeze", ()) == (reading.key, reading.kind, reading.evidence)


def refused_forms() -> list[tuple[str, Verdict, CallbackRequest]]:
    good = notice()
    lost_plus = CallbackRequest("POST", good.target, good.headers, good.body + b"+")
    twice = CallbackRequest("POST", good.target, good.headers, good.body + b"&total_amount=0.01")
    many = CallbackRequest("POST", good.target, good.headers, b"&".join(b"a%d=1" % n for n in range(300)))
    rsa1 = notice(changed(sign_type="RSA"))
    return [
        ("another signer", Verdict.INVALID_SIGNATURE, notice(signer="stranger")),
        ("an amount changed", Verdict.INVALID_SIGNATURE, swap(good, b"total_amount=12.50", b"total_amount=0.01")),
        ("a field given twice", Verdict.MALFORMED, twice),
        ("SHA-1", Verdict.UNSUPPORTED_ALGORITHM, rsa1),
        ("no body", Verdict.MALFORMED, swap(good, good.body, b"")),
        ("a sign that is no base64", Verdict.MALFORMED, lost_plus),
        ("too many fields", Verdict.MALFORMED, many),
        ("too long", Verdict.MALFORMED, swap(good, good.body, b"a=" + b"x" * 70_000)),
        ("an unknown charset", Verdict.MALFORMED, notice(changed(charset="utf-7"))),
        ("bytes outside the charset", Verdict.MALFORMED, notice(changed(subject="订单"), charset="gbk")),
        ("no notify_id", Verdict.MALFORMED, notice({k: v for k, v in PAID.items() if k != "notify_id"})),
        ("no amount", Verdict.MALFORMED, notice({k: v for k, v in PAID.items() if k != "total_amount"})),
        ("an amount like 1e3", Verdict.MALFORMED, notice(changed(total_amount="1e3"))),
        ("a time that is none", Verdict.MALFORMED, notice(changed(gmt_payment="2026-02-30 00:00:00"))),
        ("a key that is too long", Verdict.MALFORMED, notice(changed(notify_id="9" * 300))),
    ]


@pytest.mark.parametrize(("expected", "request_"), [pytest.param(v, r, id=name) for name, v, r in refused_forms()])
def test_what_is_not_a_good_notice_is_refused_by_name(expected: Verdict, request_: CallbackRequest) -> None:
    """Every way of being wrong has its verdict."""
    assert expected == verdict(request_)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    """Hostile bodies are refused, never an accident."""
    request = CallbackRequest("POST", "/callbacks/alipay/main", (), body)
    assert Verdict.VALID != verdict(request)


@given(st.dictionaries(st.sampled_from([*PAID, "refund_fee", "gmt_refund", "gmt_close"]), st.text(max_size=20)))
@settings(max_examples=60, deadline=None)
def test_no_signed_fields_raise_anything_but_a_refusal(fields: dict[str, str]) -> None:
    """Even under a good signature, odd values are refused or read, never an accident."""
    assert verdict(notice({**PAID, **fields})) in (Verdict.VALID, Verdict.MALFORMED, Verdict.UNSUPPORTED_ALGORITHM)


def test_the_replies_are_the_words_alipay_waits_for() -> None:
    """Exactly ``success`` stops the repeats; a refusal is neither 2xx nor that word."""
    accepted, refused = ALIPAY.accepted(), ALIPAY.refused(CallbackRefused(Verdict.MALFORMED, "why"))
    assert (200, b"success") == (accepted.status, accepted.body)
    assert (400, b"fail") == (refused.status, refused.body)


# Requests and answers ---------------------------------------------------------------------------------------------


def test_precreate_is_signed_and_gives_a_code() -> None:
    """System parameters in the query, the trade in the body, all signed; the answer's QR code is what to pay with."""
    exchange = ALIPAY.open(to_open(), account(), NOW)
    sent = parameters(exchange.request)
    trade = {
        "out_trade_no": "pay1",
        "total_amount": "12.50",
        "subject": "two tickets",
        "time_expire": "2026-11-23 16:30:00",
    }
    assert trade == json.loads(sent["biz_content"])
    assert ("alipay.trade.precreate", "2026-11-23 16:00:00") == (sent["method"], sent["timestamp"])
    assert account().notify_url == sent["notify_url"]
    good = answer("alipay.trade.precreate", {"code": "10000", "out_trade_no": "pay1", "qr_code": "https://qr/1"})
    assert Success(pay_with={"qr_code": "https://qr/1"}) == exchange.read(good, NOW)


def test_a_page_needs_no_network() -> None:
    """Page pay is a signed URL that the browser follows."""
    opened = ALIPAY.open(to_open("page", return_url="https://shop.example/thanks"), account(), NOW)
    assert isinstance(opened, Success)
    url, _, query = opened.pay_with["url"].partition("?")
    sent = checked(query)
    assert "https://openapi.alipay.com/gateway.do" == url
    assert ("alipay.trade.page.pay", "https://shop.example/thanks") == (sent["method"], sent["return_url"])
    assert "FAST_INSTANT_TRADE_PAY" == json.loads(sent["biz_content"])["product_code"]


@pytest.mark.parametrize(
    "payment",
    [
        to_open("barcode"),
        to_open(currency="USD"),
        to_open(amount_minor=0),
    ],
)
def test_what_alipay_cannot_take_is_refused_before_sending(payment) -> None:
    """Another method, another currency, or no amount."""
    with pytest.raises(InvalidRequest):
        ALIPAY.open(payment, account(), NOW)


@pytest.mark.parametrize("late", [timedelta(minutes=30), timedelta(days=-15)])
def test_the_expiry_must_be_one_that_alipay_keeps(late: timedelta) -> None:
    """Neither in the past nor more than 15 days ahead."""
    with pytest.raises(InvalidRequest, match="expires_at"):
        ALIPAY.open(to_open(), account(), NOW + late)


def ask(exchange: Exchange, method: str, fields: dict[str, object], **how: object):
    return exchange.read(answer(method, fields, **how), NOW)


QUERY, CLOSE, CANCEL = "alipay.trade.query", "alipay.trade.close", "alipay.trade.cancel"
REFUND, REFUND_QUERY = "alipay.trade.refund", "alipay.trade.fastpay.refund.query"
GONE = {"code": "40004", "msg": "Business Failed", "sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "交易不存在"}
TRADE = {"code": "10000", "out_trade_no": "pay1", "trade_no": "2026", "total_amount": "12.50"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({**TRADE, "trade_status": "TRADE_SUCCESS", "send_pay_date": "2026-11-23 16:00:00"}, PaymentSays.PAID),
        ({**TRADE, "trade_status": "TRADE_FINISHED"}, PaymentSays.PAID),
        ({**TRADE, "trade_status": "WAIT_BUYER_PAY"}, PaymentSays.WAITING),
        ({**TRADE, "trade_status": "TRADE_CLOSED"}, PaymentSays.CLOSED),
        (GONE, PaymentSays.NOT_FOUND),
    ],
)
def test_a_query_brings_evidence(fields: dict[str, object], says: PaymentSays) -> None:
    """A signed answer is evidence; that the trade does not exist yet is evidence too."""
    outcome = ask(ALIPAY.query(name_of(), account(), NOW), QUERY, fields)
    assert isinstance(outcome, Success)
    (found,) = outcome.evidence
    assert (says, "pay1", Road.QUERY) == (found.says, found.merchant_ref, found.road)
    assert f"query:pay1:{found.note}" == found.key


def test_the_answer_to_a_query_tells_all_of_the_payment() -> None:
    """Under both numbers, with its amount, and when it was paid: nothing but the payee, which answers do not state."""
    fields = {**TRADE, "trade_status": "TRADE_SUCCESS", "send_pay_date": "2026-11-23 16:00:00"}
    outcome = ask(ALIPAY.query(name_of(), account(), NOW), QUERY, fields)
    expected = PaymentEvidence(
        road=Road.QUERY, channel="alipay", account=account().name, key="query:pay1:TRADE_SUCCESS", received_at=NOW,
        occurred_at=datetime(2026, 11, 23, 8, 0, tzinfo=UTC), merchant_ref="pay1", channel_txn_id="2026",
        amount=Money(1250, "CNY"), note="TRADE_SUCCESS", says=PaymentSays.PAID,
    )  # fmt: skip
    assert ((expected,), "2026") == (outcome.evidence, outcome.channel_txn_id)
    waiting = {**TRADE, "trade_status": "WAIT_BUYER_PAY"}
    assert "2026" == ask(ALIPAY.query(name_of(), account(), NOW), QUERY, waiting).channel_txn_id


def test_the_amount_of_a_trade_is_what_was_asked_for() -> None:
    """Discounts leave the buyer less to pay and the seller less to get; the order was about the total."""
    less = {"buyer_pay_amount": "10.00", "receipt_amount": "12.00", "invoice_amount": "9.00"}
    paid = {**TRADE, "trade_status": "TRADE_SUCCESS", **less}
    (asked,) = ask(ALIPAY.query(name_of(), account(), NOW), QUERY, paid).evidence
    (told,) = evidence(notice(changed(**less)))
    assert asked.amount == told.amount == Money(1250, "CNY")


@pytest.mark.parametrize("missing", ["trade_no", "total_amount"])
def test_a_paid_answer_without_its_number_or_amount_proves_nothing(missing: str) -> None:
    """Whether absent or empty: it is asked again."""
    whole = {**TRADE, "trade_status": "TRADE_SUCCESS"}
    for half in ({k: v for k, v in whole.items() if k != missing}, {**whole, missing: ""}):
        assert isinstance(ask(ALIPAY.query(name_of(), account(), NOW), QUERY, half), Unknown)


def test_what_is_asked_names_the_trade_and_the_refund() -> None:
    """By our own numbers, which Alipay knows from the first moment on."""
    now, refund = NOW, refund_of()
    sent = [
        json.loads(parameters(exchange.request)["biz_content"])
        for exchange in (
            ALIPAY.query(name_of(), account(), now), ALIPAY.close(name_of(), account(), now),
            ALIPAY.close(name_of("page"), account(), now), ALIPAY.query_refund(refund, account(), now),
        )
    ]  # fmt: skip
    trade = {"out_trade_no": "pay1"}
    number = {"out_request_no": refund.merchant_refund_ref, "query_options": ["gmt_refund_pay"]}
    assert [trade, trade, trade, trade | number] == sent


def test_a_closed_trade_that_was_paid_has_been_given_back() -> None:
    """The time of the payment tells it from one that nobody paid; the notice of the payment may still be under way."""
    fields = {**TRADE, "trade_status": "TRADE_CLOSED", "send_pay_date": "2026-11-23 16:00:00"}
    outcome = ask(ALIPAY.query(name_of(), account(), NOW), QUERY, fields)
    paid, refund = outcome.evidence
    assert (PaymentSays.GIVEN_BACK, datetime(2026, 11, 23, 8, 0, tzinfo=UTC)) == (paid.says, paid.occurred_at)
    assert (RefundSays.SUCCEEDED, None, Money(1250, "CNY")) == (refund.says, refund.amount, refund.so_far)
    assert ("2026", "pay1", "2026", Road.QUERY) == (
        outcome.channel_txn_id, refund.merchant_ref, refund.channel_txn_id, refund.road,
    )  # fmt: skip
    assert "given back after it had been paid" in refund.note


def test_what_a_closed_trade_gave_back_is_told_whole() -> None:
    """As of the answer, which does not say when it went back, and under another key than the payment's own news."""
    fields = {**TRADE, "trade_status": "TRADE_CLOSED", "send_pay_date": "2026-11-23 15:00:00"}
    paid, refund = ask(ALIPAY.query(name_of(), account(), NOW), QUERY, fields).evidence
    note = "TRADE_CLOSED, given back after it had been paid"
    expected = RefundEvidence(
        road=Road.QUERY, channel="alipay", account="main", key=f"query:pay1:{note}:refund", received_at=NOW,
        merchant_ref="pay1", channel_txn_id="2026", note=note, says=RefundSays.SUCCEEDED, so_far=Money(1250, "CNY"),
    )  # fmt: skip
    assert (f"query:pay1:{note}", expected) == (paid.key, refund)


def test_an_unsigned_error_is_no_proof() -> None:
    """Anybody could say that the trade does not exist: a question is asked again, a deed stays open."""
    assert isinstance(ask(ALIPAY.query(name_of(), account(), NOW), QUERY, GONE, signer=None), Retryable)
    assert isinstance(ask(ALIPAY.query_refund(refund_of(), account(), NOW), REFUND_QUERY, GONE, signer=None), Retryable)
    assert isinstance(ask(ALIPAY.close(name_of("page"), account(), NOW), CLOSE, GONE, signer=None), Unknown)


@pytest.mark.parametrize(
    "response",
    [
        answer(QUERY, {**TRADE, "trade_status": "TRADE_SUCCESS"}, signer=None),
        answer(QUERY, {**TRADE, "trade_status": "TRADE_SUCCESS"}, signer="stranger"),
        answer(QUERY, {**TRADE, "trade_status": "TRADE_SUCCESS", "out_trade_no": "pay2"}),
        answer(QUERY, {**TRADE, "trade_status": "TRADE_SUCCESS", "total_amount": "twelve"}),
        answer(QUERY, {**TRADE, "trade_status": "TRADE_NEW"}),
        answer(CLOSE, TRADE),
        Response(502, (), b"<html>bad gateway</html>"),
        answer(QUERY, {**TRADE, "trade_status": "TRADE_SUCCESS"}, status=500),
        Response(200, (), b'{"alipay_trade_query_response":' + b'{"a":' * 50_000),
        Response(200, (), b'{"error_response":{"code":"10000"},"sign":"AAAA"}'),
        Response(200, (), b"\xff\xfe"),
    ],
)
def test_an_answer_that_cannot_be_trusted_or_read_is_unknown(response: Response) -> None:
    """Unsigned or strangely signed successes, other trades, other methods, and rubbish."""
    assert isinstance(ALIPAY.query(name_of(), account(), NOW).read(response, NOW), Unknown)


def test_a_success_that_stands_where_errors_stand_is_none() -> None:
    """A good signature over error_response does not say what was asked, so that it proves nothing of this trade."""
    signed = answer(QUERY, {**TRADE, "trade_status": "TRADE_SUCCESS"})
    moved = Response(200, (), signed.body.replace(b"alipay_trade_query_response", b"error_response"))
    asked = ALIPAY.query(name_of(), account(), NOW)
    assert (Success, Unknown) == (type(asked.read(signed, NOW)), type(asked.read(moved, NOW)))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_answer_raises(body: bytes) -> None:
    """Hostile bytes in an answer are Unknown."""
    assert isinstance(ALIPAY.query(name_of(), account(), NOW).read(Response(200, (), body), NOW), Unknown)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"code": "20000", "sub_code": "isp.unknow-error"}, Unknown),
        ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, Unknown),
        ({"code": "20000"}, Unknown),
        ({"code": "40004", "sub_code": "isp.unknow-error"}, Unknown),
        ({"code": "40004", "sub_code": "aop.unknow-error"}, Unknown),
        ({"code": "40004", "sub_code": "aop.ACQ.SYSTEM_ERROR"}, Unknown),
        ({"code": "40005", "sub_code": "isv.app-call-limited"}, Retryable),
        ({"code": "40004", "sub_code": "ACQ.TRADE_HAS_SUCCESS"}, Declined),
    ],
)
def test_a_deed_that_failed_is_declined_only_when_alipay_is_sure(fields: dict[str, object], kind: type) -> None:
    """The system's own trouble leaves it open; a limit on calls did nothing; the rest is a no."""
    exchange = ALIPAY.open(to_open(), account(), NOW)
    outcome = ask(exchange, "alipay.trade.precreate", fields)
    assert kind is type(outcome)
    assert not isinstance(outcome, Declined) or fields["sub_code"] == outcome.code
    assert Unknown is type(ask(exchange, "alipay.trade.precreate", fields, signer=None))


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"code": "20000", "sub_code": "isp.unknow-error"}, Retryable),
        ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, Retryable),
        ({"code": "40005", "sub_code": "isv.app-call-limited"}, Retryable),
        ({"code": "40004", "sub_code": "ACQ.INVALID_PARAMETER"}, Declined),
    ],
)
def test_a_question_that_is_refused_for_its_own_sake_was_answered(fields: dict[str, object], kind: type) -> None:
    """It counts as no failure of Alipay's, so that it keeps nobody else from paying; trouble and limits do."""
    for exchange, method in (
        (ALIPAY.query(name_of(), account(), NOW), QUERY),
        (ALIPAY.query_refund(refund_of(), account(), NOW), REFUND_QUERY),
    ):
        assert kind is type(ask(exchange, method, fields))
        assert isinstance(ask(exchange, method, fields, signer=None), Retryable)


def test_a_living_code_is_cancelled_and_everything_else_is_closed() -> None:
    """Only cancel kills a code that nobody has scanned; once it has expired, or for a page, close is enough. What the
    shop opened in a way of its own is closed, too: a cancel would give back what the customer has just paid."""
    expired = NOW + timedelta(minutes=30)
    methods = [
        parameters(ALIPAY.close(name, account(), now).request)["method"]
        for name, now in ((name_of(), NOW), (name_of(), expired), (name_of("page"), NOW), (name_of("app"), NOW))
    ]
    assert [CANCEL, CLOSE, CLOSE, CLOSE] == methods


def test_a_code_of_the_shops_own_is_cancelled_whatever_the_time() -> None:
    """It may live longer than the order, and a close, finding no trade yet, would leave it alive."""
    registered = msgspec.structs.replace(name_of(), registered=True)
    for now in (NOW, NOW + timedelta(minutes=30), NOW + timedelta(days=1)):
        assert CANCEL == parameters(ALIPAY.close(registered, account(), now).request)["method"]


@pytest.mark.parametrize(
    ("name", "method", "fields"),
    [
        (name_of("page"), CLOSE, TRADE),
        (name_of(), CANCEL, {"code": "10000", "out_trade_no": "pay1", "retry_flag": "N"}),
        (name_of(), CANCEL, {"code": "10000", "out_trade_no": "pay1", "retry_flag": "N", "action": "close"}),
    ],
)
def test_a_close_brings_closed(name, method: str, fields: dict[str, object]) -> None:
    """Closed, or a code that nobody can scan any more."""
    outcome = ask(ALIPAY.close(name, account(), NOW), method, fields)
    assert [PaymentSays.CLOSED] == [it.says for it in outcome.evidence]


@pytest.mark.parametrize(
    ("later_s", "says"), [(0, PaymentSays.NOT_FOUND), (1799, PaymentSays.NOT_FOUND), (1800, PaymentSays.CLOSED)]
)
def test_a_page_that_was_not_followed_is_closed_when_its_time_is_over(later_s: int, says: PaymentSays) -> None:
    """Alipay has nothing to close yet, and the customer may still follow the page: it is not called closed."""
    now = NOW + timedelta(seconds=later_s)
    outcome = ALIPAY.close(name_of("page"), account(), now).read(answer(CLOSE, GONE), now)
    assert [says] == [it.says for it in outcome.evidence]


def test_a_cancel_that_gave_money_back_tells_so() -> None:
    """The customer paid while we cancelled: paid, and a refund of all that nobody here had asked for, under the number
    that Alipay gives to one without a number."""
    fields = {"code": "10000", "out_trade_no": "pay1", "retry_flag": "N", "action": "refund"}
    outcome = ask(ALIPAY.close(name_of(), account(), NOW), CANCEL, fields)
    assert [PaymentSays.GIVEN_BACK, RefundSays.SUCCEEDED] == [it.says for it in outcome.evidence]
    refund = outcome.evidence[1]
    assert (Money(1250, "CNY"), "pay1") == (refund.amount, refund.merchant_refund_ref)
    known = ask(ALIPAY.close(name_of(), account(), NOW), CANCEL, {**fields, "trade_no": "2026"}).evidence
    assert [("pay1", "2026", Road.QUERY)] * 2 == [(it.merchant_ref, it.channel_txn_id, it.road) for it in known]
    again = ask(ALIPAY.close(name_of(), account(), NOW), CANCEL, {**fields, "retry_flag": "Y"})
    assert isinstance(again, Unknown)


def test_what_a_close_did_is_told_whole() -> None:
    """Whose trade it was, under both numbers, by which call and when the answer came."""
    later = NOW + timedelta(seconds=2)
    for name, method, more, note in (
        (name_of("page"), CLOSE, {}, CLOSE),
        (name_of(), CANCEL, {"retry_flag": "N", "action": "close"}, f"{CANCEL}: close"),
    ):
        expected = PaymentEvidence(
            road=Road.QUERY, channel="alipay", account="main", key=f"query:pay1:{note}", received_at=later,
            merchant_ref="pay1", channel_txn_id="2026", note=note, says=PaymentSays.CLOSED,
        )  # fmt: skip
        answered = answer(method, {**TRADE, **more})
        assert Success((expected,)) == ALIPAY.close(name, account(), NOW).read(answered, later)


def test_a_code_that_nobody_scanned_dies_with_its_cancel() -> None:
    """A cancel that finds no trade has killed the code, and only under Alipay's signature."""
    closing = ALIPAY.close(name_of(), account(), NOW)
    assert [PaymentSays.CLOSED] == [it.says for it in ask(closing, CANCEL, GONE).evidence]
    assert isinstance(ask(closing, CANCEL, GONE, signer=None), Unknown)


def test_a_close_that_found_no_trade_tells_people_what_that_means() -> None:
    """A page that may still be followed, one that cannot any more, a code that the cancel killed, and one of which
    Alipay says that there was nothing to do: the journal has it in words, and each under a key of its own."""
    none_yet = "its page may be followed until its time_expire, and cannot be closed before"
    over = NOW + timedelta(minutes=30)
    told = [
        ALIPAY.close(name, account(), now).read(answer(method, fields), now).evidence[0]
        for name, now, method, fields in (
            (name_of("page"), NOW, CLOSE, GONE), (name_of("page"), over, CLOSE, GONE), (name_of(), NOW, CANCEL, GONE),
            (name_of(), NOW, CANCEL, {"code": "10000", "out_trade_no": "pay1", "retry_flag": "N"}),
        )
    ]  # fmt: skip
    notes = [
        f"ACQ.TRADE_NOT_EXIST: {none_yet}",
        "ACQ.TRADE_NOT_EXIST: nothing to close; its page or code died at its time_expire",
        "alipay.trade.cancel: ACQ.TRADE_NOT_EXIST",
        "alipay.trade.cancel: no trade",
    ]
    assert [(note, f"query:pay1:{note}") for note in notes] == [(it.note, it.key) for it in told]


@pytest.mark.parametrize("name", [name_of(), name_of("page")])
def test_an_answer_is_weighed_by_the_time_at_which_it_came(name) -> None:
    """A call that was sent while the page was alive may be answered after it died."""
    after = NOW + timedelta(minutes=30)
    method = CANCEL if name.method == "precreate" else CLOSE
    (told,) = ALIPAY.close(name, account(), NOW).read(answer(method, GONE), after).evidence
    assert (PaymentSays.CLOSED, after) == (told.says, told.received_at)


def test_the_money_that_a_cancel_gave_back_is_told_whole() -> None:
    """Whose it is, all of it, under the number that Alipay gives to a refund that nobody named."""
    later = NOW + timedelta(seconds=2)
    fields = {**TRADE, "retry_flag": "N", "action": "refund"}
    _, refund = ALIPAY.close(name_of(), account(), NOW).read(answer(CANCEL, fields), later).evidence
    expected = RefundEvidence(
        road=Road.QUERY, channel="alipay", account="main", key="query:pay1:cancel-refund", received_at=later,
        merchant_ref="pay1", channel_txn_id="2026", amount=Money(1250, "CNY"), says=RefundSays.SUCCEEDED,
        merchant_refund_ref="pay1", note="alipay.trade.cancel: it had been paid; Alipay gave all of it back",
    )  # fmt: skip
    assert expected == refund


@pytest.mark.parametrize("code", ["ACQ.SYSTEM_ERROR", "ACQ.REASON_TRADE_BEEN_FREEZEN"])
@pytest.mark.parametrize(("name", "method"), [(name_of(), CANCEL), (name_of("page"), CLOSE)])
def test_a_no_closes_nothing(name, method: str, code: str) -> None:
    """Alipay's trouble leaves it open, its refusal is told, and neither says that nobody can pay."""
    kind = Unknown if code == "ACQ.SYSTEM_ERROR" else Declined
    assert kind is type(ask(ALIPAY.close(name, account(), NOW), method, {"code": "40004", "sub_code": code}))


def test_a_paid_trade_cannot_be_closed() -> None:
    """Alipay says no, and the trade is queried."""
    no = {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"}
    outcome = ask(ALIPAY.close(name_of("page"), account(), NOW), CLOSE, no)
    assert "ACQ.TRADE_STATUS_ERROR" == outcome.code


@pytest.mark.parametrize("changed_", ["Y", "N", None])
def test_a_refund_has_succeeded_only_if_funds_changed(changed_: str | None) -> None:
    """Without fund_change=Y the answer proves nothing, not even that Alipay has the refund: it is asked about. Its sum
    is no single amount."""
    exchange = ALIPAY.refund(refund_of(), account(), NOW)
    sent = json.loads(parameters(exchange.request)["biz_content"])
    assert {
        "out_trade_no": "pay1",
        "out_request_no": "ref1",
        "refund_amount": "5.00",
        "refund_reason": "one ticket back",
    } == sent
    fields = {**TRADE, "refund_fee": "5.00"} | ({"fund_change": changed_} if changed_ else {})
    told = [(it.says, it.amount, it.merchant_refund_ref) for it in ask(exchange, REFUND, fields).evidence]
    assert ([(RefundSays.SUCCEEDED, None, "ref1")] if changed_ == "Y" else []) == told


@pytest.mark.parametrize(
    ("fields", "says", "amount"),
    [
        (
            {**TRADE, "refund_status": "REFUND_SUCCESS", "refund_amount": "5.00"},
            RefundSays.SUCCEEDED,
            Money(500, "CNY"),
        ),
        ({**TRADE, "refund_status": "REFUND_PROCESSING"}, RefundSays.PENDING, None),
        ({**TRADE, "refund_status": "REFUND_FAIL", "refund_amount": "5.00"}, RefundSays.PENDING, None),
        ({"code": "10000"}, RefundSays.NOT_FOUND, None),
        (GONE, RefundSays.NOT_FOUND, None),
    ],
)
def test_a_refund_query_tells_the_refunds_own_amount(fields, says: RefundSays, amount: Money | None) -> None:
    """A success without refund_status means that this number never became a refund; and only one word for its success
    says that the money is there."""
    (found,) = ask(ALIPAY.query_refund(refund_of(), account(), NOW), REFUND_QUERY, fields).evidence
    assert (RefundEvidence, says, amount) == (type(found), found.says, found.amount)


# Accounts ---------------------------------------------------------------------------------------------------------


def certificate(name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key(name).public_key(), 7, NOW, NOW + timedelta(days=365))
    return builder.sign(key(name), SHA256()).public_bytes(Encoding.PEM)


def test_the_answer_about_a_refund_tells_all_of_it() -> None:
    """Whose it is, how much, and when it was there."""
    fields = {
        **TRADE, "refund_status": "REFUND_SUCCESS", "refund_amount": "5.00", "gmt_refund_pay": "2026-11-23 17:00:00",
    }  # fmt: skip
    refund = refund_of()
    expected = RefundEvidence(
        road=Road.QUERY, channel="alipay", account=account().name, key="query:ref1:REFUND_SUCCESS", received_at=NOW,
        occurred_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC), merchant_ref="pay1",
        channel_txn_id=refund.payment.channel_txn_id, amount=Money(500, "CNY"), note="REFUND_SUCCESS",
        says=RefundSays.SUCCEEDED, merchant_refund_ref="ref1",
    )  # fmt: skip
    assert (expected,) == ask(ALIPAY.query_refund(refund, account(), NOW), REFUND_QUERY, fields).evidence


@pytest.mark.parametrize("sub_code", ["ACQ.SYSTEM_ERROR", "ACQ.SELLER_BALANCE_NOT_ENOUGH"])
def test_a_no_is_no_evidence_of_a_refund(sub_code: str) -> None:
    """Neither that it succeeded nor that there is none."""
    no = {"code": "40004", "sub_code": sub_code, **{name: TRADE[name] for name in ("out_trade_no", "trade_no")}}
    for exchange, method in (
        (ALIPAY.refund(refund_of(), account(), NOW), REFUND),
        (ALIPAY.query_refund(refund_of(), account(), NOW), REFUND_QUERY),
    ):
        assert not isinstance(ask(exchange, method, no), Success)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, Unknown),
        ({"code": "20000", "sub_code": "isp.unknow-error"}, Unknown),
        ({"code": "40005", "sub_code": "isv.app-call-limited"}, Retryable),
        ({"code": "40004", "sub_code": "ACQ.SELLER_BALANCE_NOT_ENOUGH"}, Declined),
    ],
)
def test_after_trouble_nobody_knows_whether_money_went_back(fields: dict[str, object], kind: type) -> None:
    """It may have gone, so it is asked about; a limit on calls moved nothing, and a refusal is told."""
    assert kind is type(ask(ALIPAY.refund(refund_of(), account(), NOW), REFUND, fields))


@pytest.mark.parametrize("other", [{"out_trade_no": "pay2"}, {"out_request_no": "ref9"}])
def test_an_answer_about_another_refund_proves_nothing(other: dict[str, str]) -> None:
    """A signature that is good says who spoke, not that he spoke of this one."""
    fields = {
        "code": "10000", "out_trade_no": "pay1", "out_request_no": "ref1", "refund_status": "REFUND_SUCCESS",
        "refund_amount": "5.00",
    }  # fmt: skip
    exchange = ALIPAY.query_refund(refund_of(), account(), NOW)
    assert isinstance(ask(exchange, REFUND_QUERY, fields), Success)
    assert isinstance(ask(exchange, REFUND_QUERY, {**fields, **other}), Unknown)


@pytest.mark.parametrize(
    ("exchange", "method"),
    [
        (ALIPAY.refund(refund_of(), account(), NOW), REFUND),
        (ALIPAY.close(name_of("page"), account(), NOW), CLOSE),
        (ALIPAY.close(name_of(), account(), NOW), CANCEL),
    ],
)
def test_a_deed_to_another_trade_is_not_ours(exchange: Exchange, method: str) -> None:
    """Whether ours was done is then not known."""
    fields = {"code": "10000", "out_trade_no": "pay2", "fund_change": "Y", "action": "close"}
    assert isinstance(ask(exchange, method, fields), Unknown)
    assert isinstance(ask(exchange, method, {**fields, "out_trade_no": "pay1"}), Success)


@pytest.mark.parametrize("length", [256, 257])
def test_a_reason_may_fill_all_that_alipay_takes(length: int) -> None:
    """256 characters and not one more; without a reason none is sent."""
    for reason, sent in (("退" * length, "退" * 256), ("", None)):
        refund = msgspec.structs.replace(refund_of(), reason=reason)
        biz = json.loads(parameters(ALIPAY.refund(refund, account(), NOW).request)["biz_content"])
        assert sent == biz.get("refund_reason")


def test_a_refund_is_told_by_both_numbers_of_its_payment() -> None:
    """When it was sent, when it is asked for, and when there is none."""
    paid = msgspec.structs.replace(name_of(), channel_txn_id="2026")
    refund = msgspec.structs.replace(refund_of(), payment=paid)
    sent = ask(ALIPAY.refund(refund, account(), NOW), REFUND, {**TRADE, "fund_change": "Y"})
    gone, none = (ask(ALIPAY.query_refund(refund, account(), NOW), REFUND_QUERY, it) for it in (GONE, TRADE))
    expected = [
        RefundEvidence(
            road=Road.QUERY, channel="alipay", account="main", key=f"query:ref1:{note}", received_at=NOW,
            merchant_ref="pay1", channel_txn_id="2026", note=note, says=says, merchant_refund_ref="ref1",
        )
        for says, note in (
            (RefundSays.SUCCEEDED, "fund_change=Y"), (RefundSays.NOT_FOUND, "ACQ.TRADE_NOT_EXIST"),
            (RefundSays.NOT_FOUND, "no refund_status"),
        )
    ]  # fmt: skip
    assert expected == [*sent.evidence, *gone.evidence, *none.evidence]


def test_the_amount_of_a_refund_is_its_own() -> None:
    """total_amount is the trade's, and refund_fee a sum over all refunds of it. And it is what went back, which may be
    another sum than was asked for."""
    for stated, minor in (("5.00", 500), ("4.00", 400)):
        fields = {**TRADE, "refund_status": "REFUND_SUCCESS", "refund_amount": stated, "refund_fee": "7.00"}
        (told,) = ask(ALIPAY.query_refund(refund_of(), account(), NOW), REFUND_QUERY, fields).evidence
        assert Money(minor, "CNY") == told.amount


def test_alipay_gives_back_yuan_only() -> None:
    """A refund of another currency is a mistake of ours, and is not sent."""
    with pytest.raises(InvalidRequest, match="gives back CNY"):
        ALIPAY.refund(msgspec.structs.replace(refund_of(), money=Money(500, "USD")), account(), NOW)


def bare(name: str) -> bytes:
    der = key(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der) + b"\n"


@pytest.mark.parametrize("form", [public_pem, bare, certificate])
def test_alipays_key_may_stand_in_each_of_its_forms(form) -> None:
    """PEM, bare base64 as the console shows it, or a certificate."""
    account_ = ALIPAY.parse_account("main", TABLE, {**files(), "alipay_public.pem": form("alipay")})
    assert PAID_KEY == ALIPAY.read_callback(notice(), account_, NOW).key


def test_our_key_may_be_bare_base64() -> None:
    """Alipay's key tool writes PKCS#1 without a frame."""
    der = key("app").private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    account_ = ALIPAY.parse_account("main", TABLE, {**files(), "app_key.pem": base64.b64encode(der)})
    assert ALIPAY.keys(account())[0] == ALIPAY.keys(account_)[0]


def test_keys_are_shown_by_use_and_fingerprint() -> None:
    """What each key is for, and when a certificate ends; the account's repr shows no key."""
    table = {**TABLE, "alipay_public_keys": ["alipay_public.pem", "cert.pem"]}
    account_ = ALIPAY.parse_account("main", table, {**files(), "cert.pem": certificate("alipay")})
    ours, pem, cert = ALIPAY.keys(account_)
    uses = ("sign requests", "verify callbacks and answers", "verify callbacks and answers")
    assert uses == (ours.use, pem.use, cert.use)
    assert pem.fingerprint == cert.fingerprint
    assert NOW + timedelta(days=365) == cert.expires_at
    assert "PRIVATE" not in repr(account_)


def small_key() -> bytes:
    return rsa.generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def curve_key() -> bytes:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.mark.parametrize(
    ("table", "more_files", "words"),
    [
        ({"sellerid": "1"}, {}, "unknown name 'sellerid'; did you mean 'seller_id'"),
        ({"app_id": ""}, {}, "app_id must be a text"),
        ({"app_id": 2021}, {}, "app_id must be a text in quotes"),
        ({"private_key": "app_kee.pem"}, {}, "not beside it; did you mean 'app_key.pem'"),
        ({"alipay_public_keys": "alipay_public.pem"}, {}, "alipay_public_keys must be a list"),
        ({"notify_url": "pay.example"}, {}, "notify_url must begin with https://"),
        ({}, {"app_key.pem": b"hello"}, "no unencrypted private key"),
        ({}, {"app_key.pem": small_key()}, "RSA key of 2048 bits"),
        ({}, {"app_key.pem": public_pem("alipay")}, "no unencrypted private key"),
        ({}, {"alipay_public.pem": curve_key()}, "RSA key of 2048 bits"),
        ({}, {"alipay_public.pem": private_pem("app")}, "holds no public key"),
        ({}, {"alipay_public.pem": b" \n"}, "which is empty"),
    ],
)
def test_a_wrong_account_names_the_mend(table, more_files, words: str) -> None:
    """Every mistake in the file or its keys is named, with what would do."""
    with pytest.raises(ConfigError, match=words):
        ALIPAY.parse_account("main", {**TABLE, **table}, {**files(), **more_files})


def test_the_payee_is_app_and_seller() -> None:
    """The account is paid when both are named."""
    assert account().payee.endswith(f"/{SELLER_ID}")
