"""The sandbox's WeChat Pay, judged by a merchant who shares no code with it."""

from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.x509 import load_pem_x509_certificate

import sandbox_merchant as merchant
from paidup.sandbox.ledger import RefundState
from sandbox_merchant import (
    NOW,
    after,
    keys,
    notices,
    wechat_ask,
    wechat_open,
    wechat_opened,
    wechat_query,
    wechat_read,
)


def paid_world(**manners):
    world = merchant.world(**manners)
    world.respond(wechat_open("order1"), NOW)
    world.pay(world.find("wechat", "main", "order1", NOW), after(20))
    return world


def test_a_code_is_given_and_the_answer_is_signed() -> None:
    """The answer's signature verifies, and it holds what the customer scans."""
    told = wechat_read(merchant.world().respond(wechat_open("order1"), NOW))
    assert told["code_url"].startswith("weixin://wxpay/bizpayurl?pr=")


def test_the_request_names_the_key_that_signs_the_answer() -> None:
    """Wechatpay-Serial with the public key's id; the certificate without."""
    world = merchant.world()
    world.respond(wechat_open("order1"), NOW)
    public_key_id = keys().wechat.public_key_id
    by_id = world.respond(wechat_query("order1", **{"wechatpay-serial": public_key_id}), NOW)
    by_default = world.respond(wechat_query("order1"), NOW)
    assert [public_key_id, keys().wechat.certificate_serial] == [
        tell.headers["wechatpay-serial"] for tell in (by_id, by_default)
    ]
    assert ["NOTPAY", "NOTPAY"] == [wechat_read(tell)["trade_state"] for tell in (by_id, by_default)]


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (wechat_ask("GET", "/v3/certificates", key=keys().wechat.stranger), "another key"),
        (wechat_ask("GET", "/v3/certificates", now=NOW - timedelta(seconds=301)), "signed too long ago"),
        (wechat_ask("GET", "/v3/certificates", serial="ABCDEF"), "a certificate it does not know"),
        (merchant.Ask("GET", "/v3/certificates", {}, b""), "not signed"),
        (merchant.Ask("GET", "/v3/certificates", {"authorization": "WECHATPAY2-SHA256-RSA2048 x"}, b""), "rubbish"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_is_not_the_merchant_is_refused(ask: merchant.Ask, why: str) -> None:
    """401 SIGN_ERROR, unsigned."""
    tell = merchant.world().respond(ask, NOW)
    assert (401, True, False) == (tell.status, b"SIGN_ERROR" in tell.body, "wechatpay-signature" in tell.headers)


def test_a_body_that_was_changed_on_the_way_is_refused() -> None:
    """The signature covers the body."""
    honest = wechat_open("order1")
    changed = merchant.Ask(honest.method, honest.target, honest.headers, honest.body.replace(b"1250", b"1"))
    assert 401 == merchant.world().respond(changed, NOW).status


def test_a_number_nobody_opened_is_unknown() -> None:
    """404 ORDER_NOT_EXIST, signed."""
    tell = merchant.world().respond(wechat_query("order9"), NOW)
    assert (404, "ORDER_NOT_EXIST") == (tell.status, wechat_read(tell)["code"])


def test_opening_twice_makes_one_trade() -> None:
    """The same content gives the same code; another amount is refused."""
    world = merchant.world()
    first, again, other = (
        wechat_read(world.respond(ask, NOW))
        for ask in (wechat_open("order1"), wechat_open("order1"), wechat_open("order1", 9))
    )
    assert (first, "OUT_TRADE_NO_USED", 1) == (again, other["code"], len(world.ledger))


def test_a_paid_trade_is_told_and_asked_in_the_same_words() -> None:
    """The notice's content and the query's answer agree on state, amount, number and payee."""
    world = paid_world()
    [(_, notice)] = notices(world, after(20))
    envelope, told = wechat_opened(notice)
    asked = wechat_read(world.respond(wechat_query("order1", now=after(25)), after(25)))
    assert ("TRANSACTION.SUCCESS", "encrypt-resource") == (envelope["event_type"], envelope["resource_type"])
    names = ("mchid", "appid", "out_trade_no", "transaction_id", "trade_state", "amount", "success_time")
    assert [told[name] for name in names] == [asked[name] for name in names]
    assert ("SUCCESS", 1250, "2026-11-23T16:00:20+08:00") == (
        told["trade_state"], told["amount"]["total"], told["success_time"],
    )  # fmt: skip


def test_each_sending_is_signed_and_encrypted_anew_under_one_id() -> None:
    """The id stays; timestamp, nonce, ciphertext and signature change."""
    world = paid_world()
    [news] = world.news
    provider = world.provider("wechat", "main")
    first, later = provider.notice(news, after(20)), provider.notice(news, after(35))
    assert wechat_opened(first)[0]["id"] == wechat_opened(later)[0]["id"]
    assert wechat_opened(first)[1] == wechat_opened(later)[1]
    assert 4 == sum(
        [
            first.headers["wechatpay-timestamp"] != later.headers["wechatpay-timestamp"],
            first.headers["wechatpay-nonce"] != later.headers["wechatpay-nonce"],
            first.headers["wechatpay-signature"] != later.headers["wechatpay-signature"],
            wechat_opened(first)[0]["resource"]["ciphertext"] != wechat_opened(later)[0]["resource"]["ciphertext"],
        ]
    )


@pytest.mark.parametrize(("share", "expected"), [(0.0, {False}), (1.0, {True}), (0.5, {False, True})])
def test_the_share_of_notices_signed_by_the_public_key_is_settable(share: float, expected: set[bool]) -> None:
    """As while WeChat Pay moves a merchant from certificates to the public key."""
    world = merchant.world(public_key_share=share)
    for n in range(20):
        world.respond(wechat_open(f"order{n}"), NOW)
        world.pay(world.find("wechat", "main", f"order{n}", NOW), NOW)
    serials = {notice.headers["wechatpay-serial"] == keys().wechat.public_key_id for _, notice in notices(world)}
    assert expected == serials


def test_closing_is_silent_and_final() -> None:
    """204 without a body, no notice, and nobody can pay any more; closing again does no harm."""
    world = merchant.world()
    world.respond(wechat_open("order1"), NOW)
    closed, again = (world.respond(merchant.wechat_close("order1"), NOW) for _ in range(2))
    assert [(204, b"")] * 2 == [(tell.status, tell.body) for tell in (closed, again)]
    trade = world.find("wechat", "main", "order1", NOW)
    assert (False, [], {}) == (world.pay(trade, NOW), world.news, wechat_read(closed))


def test_a_paid_trade_is_not_closed() -> None:
    """ORDERPAID, and it stays paid."""
    world = paid_world()
    told = wechat_read(world.respond(merchant.wechat_close("order1"), NOW))
    state = wechat_read(world.respond(wechat_query("order1"), NOW))["trade_state"]
    assert ("ORDERPAID", "SUCCESS") == (told["code"], state)


def test_a_trade_dies_at_its_time_expire() -> None:
    """A buyer who comes at that moment cannot pay, and the query says CLOSED."""
    world = merchant.world()
    world.respond(wechat_open("order1", time_expire="2026-11-23T16:01:00+08:00"), NOW)
    trade = world.find("wechat", "main", "order1", NOW)
    assert not world.pay(trade, after(60))
    asked = world.respond(wechat_query("order1", now=after(60)), after(60))
    assert "CLOSED" == wechat_read(asked)["trade_state"]


def test_a_refund_is_under_way_before_it_succeeds() -> None:
    """PROCESSING at first, SUCCESS and a notice after `refund_s`; meanwhile the payment's state is REFUND."""
    world = paid_world(refund_s=30)
    notices(world)
    accepted = wechat_read(world.respond(merchant.wechat_refund("order1", "r1", 400), NOW))
    assert ("PROCESSING", []) == (accepted["status"], world.news)
    assert "REFUND" == wechat_read(world.respond(wechat_query("order1"), NOW))["trade_state"]
    world.advance(after(30))
    [(_, notice)] = notices(world, after(30))
    envelope, told = wechat_opened(notice)
    assert ("REFUND.SUCCESS", "SUCCESS", "r1", 400) == (
        envelope["event_type"], told["refund_status"], told["out_refund_no"], told["amount"]["refund"],
    )  # fmt: skip


def test_a_refund_has_the_fields_that_wechat_pay_documents() -> None:
    """The answer says how and from what the money goes back; the notice names the merchant, and no currency."""
    world = paid_world(refund_s=0)
    notices(world)
    accepted = wechat_read(world.respond(merchant.wechat_refund("order1", "r1", 400), NOW))
    world.advance(after(1))
    _, told = wechat_opened(notices(world, after(1))[0][1])
    both = {"refund_id", "out_refund_no", "transaction_id", "out_trade_no", "user_received_account", "amount"}
    amounts = {"total", "refund", "payer_total", "payer_refund"}
    settled = {"settlement_refund", "settlement_total", "discount_refund", "currency"}
    answered = both | {"channel", "create_time", "status", "funds_account"}
    assert (answered, amounts | settled) == ({*accepted} - {"success_time"}, {*accepted["amount"]})
    assert (both | {"mchid", "refund_status", "success_time"}, amounts) == ({*told}, {*told["amount"]})


def test_a_refund_sent_twice_is_paid_once() -> None:
    """The same out_refund_no answers with the same refund_id; another amount under it is refused."""
    world = paid_world()
    first, again, other = (
        wechat_read(world.respond(merchant.wechat_refund("order1", "r1", amount), NOW)) for amount in (400, 400, 401)
    )
    assert (first["refund_id"], "INVALID_REQUEST") == (again["refund_id"], other["code"])
    assert 400 == world.find("wechat", "main", "order1", NOW).refunded_minor()


def test_no_more_is_refunded_than_was_paid() -> None:
    """What pending refunds hold counts, too."""
    world = paid_world()
    codes = [
        wechat_read(world.respond(merchant.wechat_refund("order1", ref, amount), NOW)).get("code", "accepted")
        for ref, amount in (("r1", 1000), ("r2", 251), ("r3", 250), ("r4", 1))
    ]
    assert ["accepted", "INVALID_REQUEST", "accepted", "INVALID_REQUEST"] == codes


def test_a_refund_may_be_refused_by_the_bank() -> None:
    """With refund_fail 1: ABNORMAL, and the money is the merchant's again."""
    world = paid_world(faults=merchant.Faults(refund_fail=1))
    notices(world)
    world.respond(merchant.wechat_refund("order1", "r1", 400), NOW)
    world.advance(after(60))
    [(_, notice)] = notices(world, after(60))
    trade = world.find("wechat", "main", "order1", NOW)
    assert ("REFUND.ABNORMAL", RefundState.FAILED, 0) == (
        wechat_opened(notice)[0]["event_type"], trade.refunds[0].state, trade.refunded_minor(),
    )  # fmt: skip


def test_the_certificate_can_be_fetched() -> None:
    """Decrypted with the APIv3 key, its serial number is the one that messages name."""
    told = wechat_read(merchant.world().respond(wechat_ask("GET", "/v3/certificates"), NOW))
    [entry] = told["data"]
    box = entry["encrypt_certificate"]
    sealed, nonce = merchant.base64.b64decode(box["ciphertext"]), box["nonce"].encode()
    pem = merchant.AESGCM(keys().wechat.apiv3).decrypt(nonce, sealed, box["associated_data"].encode())
    assert int(entry["serial_no"], 16) == load_pem_x509_certificate(pem).serial_number


def test_a_forgery_fails_under_the_key_it_names() -> None:
    """It claims a payment that nobody made, signed by a stranger."""
    world = merchant.world(merchant.Faults(forge=1))
    world.respond(wechat_open("order1"), NOW)
    world.advance(after(6))
    [(news, notice)] = notices(world, after(6))
    with pytest.raises(InvalidSignature):
        merchant.wechat_check(notice)
    assert (True, None) == (news.forged, world.find("wechat", "main", "order1", NOW).paid_at)


def test_a_probe_is_the_notice_under_a_wrong_signature() -> None:
    """SIGNTEST at its head, as long as a real one."""
    world = paid_world()
    [(_, notice)] = notices(world, after(20))
    probe = world.provider("wechat", "main").probe(notice)
    signature = probe.headers["wechatpay-signature"]
    assert (notice.body, 344, True) == (probe.body, len(signature), signature.startswith("WECHATPAY/SIGNTEST/"))


@pytest.mark.parametrize(
    "body", [None, [], {}, {"out_trade_no": 5}, {"out_trade_no": "x" * 33}], ids=lambda body: str(body)[:20]
)
def test_what_makes_no_sense_is_refused_politely(body: object) -> None:
    """400 PARAM_ERROR, never a crash."""
    tell = merchant.world().respond(wechat_ask("POST", "/v3/pay/transactions/native", body), NOW)
    assert (400, "PARAM_ERROR") == (tell.status, wechat_read(tell)["code"])


@pytest.mark.parametrize(("status", "expected"), [(200, True), (204, True), (201, False), (500, False), (0, False)])
def test_the_acknowledgement(status: int, expected: bool) -> None:
    """200 or 204, whatever the body says."""
    assert expected == merchant.world().provider("wechat", "main").is_acknowledged(status, b"FAIL")
