"""The sandbox's Alipay, judged by a merchant who shares no code with it."""

import json
from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature

import sandbox_merchant as merchant
from paidup.sandbox.ledger import TradeState
from sandbox_merchant import NOW, after, alipay_ask, alipay_fields, alipay_open, alipay_read, keys, notices


def ask(world, method: str, now=NOW, **biz: str) -> dict:
    return alipay_read(world.respond(alipay_ask(f"alipay.trade.{method}", **biz), now))


def scanned(ref: str = "order1", amount: str = "12.50"):
    world = merchant.world()
    world.respond(alipay_open(ref, amount), NOW)
    world.scan(world.find("alipay", "main", ref, NOW), NOW)
    return world


def paid(amount: str = "12.50"):
    world = scanned(amount=amount)
    world.pay(world.find("alipay", "main", "order1", NOW), after(20))
    return world


def test_a_code_is_given_and_the_answer_is_signed() -> None:
    """The signature covers the bytes of precreate's own member."""
    told = alipay_read(merchant.world().respond(alipay_open("order1"), NOW))
    assert ("10000", "order1", True) == (told["code"], told["out_trade_no"], told["qr_code"].startswith("https://qr."))


@pytest.mark.parametrize(
    "wrong",
    [
        alipay_ask("alipay.trade.query", key=keys().alipay.stranger, out_trade_no="order1"),
        alipay_ask("alipay.trade.query", app_id="2021000000000000", out_trade_no="order1"),
        merchant.Ask("POST", "/gateway.do", {}, b"method=alipay.trade.query"),
        merchant.Ask("GET", "/gateway.do", {}, b""),
    ],
    ids=["another key", "another app", "not signed", "nothing at all"],
)
def test_who_is_not_the_merchant_is_refused(wrong: merchant.Ask) -> None:
    """40002, without a signature."""
    tell = merchant.world().respond(wrong, NOW)
    [told] = json.loads(tell.body).values()
    assert (200, "40002", "isv.invalid-signature") == (tell.status, told["code"], told["sub_code"])


def test_a_trade_is_made_when_the_buyer_scans() -> None:
    """Until then a query says ACQ.TRADE_NOT_EXIST, afterwards WAIT_BUYER_PAY."""
    world = merchant.world()
    world.respond(alipay_open("order1"), NOW)
    before = ask(world, "query", out_trade_no="order1")
    world.scan(world.find("alipay", "main", "order1", NOW), NOW)
    assert ("ACQ.TRADE_NOT_EXIST", "WAIT_BUYER_PAY") == (
        before["sub_code"], ask(world, "query", out_trade_no="order1")["trade_status"],
    )  # fmt: skip


def test_a_paid_trade_is_told_and_asked_in_the_same_words() -> None:
    """The notice's fields and the query's answer agree; amounts are yuan, times Beijing's."""
    world = paid()
    [(_, notice)] = notices(world, after(20))
    told, asked = alipay_fields(notice), ask(world, "query", out_trade_no="order1")
    names = ("out_trade_no", "trade_no", "total_amount", "trade_status")
    assert [told[name] for name in names] == [asked[name] for name in names]
    assert ("12.50", "TRADE_SUCCESS", "2026-11-23 16:00:20") == (
        told["total_amount"], told["trade_status"], told["gmt_payment"],
    )  # fmt: skip
    assert (keys().alipay.app_id, keys().alipay.seller_id) == (told["app_id"], told["seller_id"])
    assert "50% off + more" == told["subject"]


def test_a_notice_keeps_its_notify_id() -> None:
    """Every sending of it, and no other notice, carries it."""
    world = paid()
    [news] = world.news
    provider = world.provider("alipay", "main")
    ask(world, "refund", out_trade_no="order1", refund_amount="1.00", out_request_no="r1")
    ids = [alipay_fields(provider.notice(one, NOW))["notify_id"] for one in (news, news, world.news[1])]
    assert (ids[0], True) == (ids[1], ids[1] != ids[2])


def test_close_knows_only_what_was_scanned() -> None:
    """TRADE_NOT_EXIST for a code nobody scanned, which can still be paid afterwards."""
    world = merchant.world()
    world.respond(alipay_open("order1"), NOW)
    told = ask(world, "close", out_trade_no="order1")
    assert ("ACQ.TRADE_NOT_EXIST", True) == (
        told["sub_code"], world.pay(world.find("alipay", "main", "order1", NOW), NOW),
    )  # fmt: skip


def test_cancel_kills_a_code_that_nobody_scanned() -> None:
    """Nobody can pay it afterwards."""
    world = merchant.world()
    world.respond(alipay_open("order1"), NOW)
    told = ask(world, "cancel", out_trade_no="order1")
    assert ("10000", False) == (told["code"], world.pay(world.find("alipay", "main", "order1", NOW), NOW))


def test_cancel_gives_back_what_was_paid() -> None:
    """action=refund, and the ledger knows the refund; cancelling again moves nothing."""
    world = paid()
    first, again = (ask(world, "cancel", out_trade_no="order1") for _ in range(2))
    trade = world.find("alipay", "main", "order1", NOW)
    assert ("refund", "refund", 1250, 1) == (
        first["action"], again["action"], trade.refunded_minor(), len(trade.refunds),
    )  # fmt: skip


def test_a_paid_trade_is_not_closed() -> None:
    """ACQ.TRADE_STATUS_ERROR, and it stays paid."""
    world = paid()
    assert "ACQ.TRADE_STATUS_ERROR" == ask(world, "close", out_trade_no="order1")["sub_code"]
    assert TradeState.PAID is world.find("alipay", "main", "order1", NOW).state


def test_a_refund_sent_twice_is_paid_once() -> None:
    """fund_change says Y and then N; another amount under the same out_request_no is refused."""
    world = paid()
    wanted = {"out_trade_no": "order1", "out_request_no": "r1"}
    first, again = (ask(world, "refund", refund_amount="4.00", **wanted) for _ in range(2))
    other = ask(world, "refund", refund_amount="5.00", **wanted)
    assert ("Y", "N", "ACQ.REASON_TRADE_REFUND_FEE_ERR") == (
        first["fund_change"], again["fund_change"], other["sub_code"],
    )  # fmt: skip
    assert 400 == world.find("alipay", "main", "order1", NOW).refunded_minor()


def test_refund_fee_is_the_sum_so_far() -> None:
    """Partly refunded the notice still says TRADE_SUCCESS; wholly refunded it says TRADE_CLOSED."""
    world = paid()
    notices(world)
    for ref, amount in (("r1", "4.00"), ("r2", "8.50")):
        ask(world, "refund", out_trade_no="order1", refund_amount=amount, out_request_no=ref)
    told = [alipay_fields(notice) for _, notice in notices(world)]
    assert [("TRADE_SUCCESS", "4.00", "r1"), ("TRADE_CLOSED", "12.50", "r2")] == [
        (fields["trade_status"], fields["refund_fee"], fields["out_biz_no"]) for fields in told
    ]
    assert [False, True] == ["gmt_close" in fields for fields in told]


def test_no_more_is_refunded_than_was_paid() -> None:
    """Refused, and nothing moves."""
    world = paid()
    told = ask(world, "refund", out_trade_no="order1", refund_amount="12.51", out_request_no="r1")
    assert ("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", 0) == (
        told["sub_code"], world.find("alipay", "main", "order1", NOW).refunded_minor(),
    )  # fmt: skip


def test_a_refund_can_be_asked_about() -> None:
    """REFUND_SUCCESS for one that was made; a success without refund_status for one that was not."""
    world = paid()
    ask(world, "refund", out_trade_no="order1", refund_amount="4.00", out_request_no="r1")
    made, unknown = (
        ask(world, "fastpay.refund.query", out_trade_no="order1", out_request_no=ref) for ref in ("r1", "r2")
    )
    assert ("REFUND_SUCCESS", "4.00") == (made["refund_status"], made["refund_amount"])
    assert ("10000", False) == (unknown["code"], "refund_status" in unknown)


def test_a_page_is_made_when_the_browser_follows() -> None:
    """page.pay by GET opens the trade, which waits for its buyer."""
    world = merchant.world()
    signed = alipay_ask("alipay.trade.page.pay", out_trade_no="order1", total_amount="12.50", subject="tickets")
    url = merchant.Ask("GET", f"{signed.target}&{signed.body.decode()}", {}, b"")
    tell = world.respond(url, NOW)
    assert ("text/html; charset=utf-8", "WAIT_BUYER_PAY") == (
        tell.headers["content-type"], ask(world, "query", out_trade_no="order1")["trade_status"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        ({"time_expire": "2026-11-23 16:05:00"}, 300),
        ({"timeout_express": "5m"}, 300),
        ({"timeout_express": "1d"}, 86400),
    ],
)
def test_a_trade_dies_in_time(wanted: dict[str, str], seconds: int) -> None:
    """A second before it can be paid, at the moment itself no more."""
    world = merchant.world()
    world.respond(alipay_open("order1", **wanted), NOW)
    trade = world.find("alipay", "main", "order1", NOW)
    end = NOW + timedelta(seconds=seconds)
    assert [True, False] == [world.ledger.may_pay(trade, at) for at in (end - timedelta(seconds=1), end)]


def test_the_same_number_with_another_amount_is_refused() -> None:
    """ACQ.CONTEXT_INCONSISTENT; after the payment ACQ.TRADE_HAS_SUCCESS."""
    world = scanned()
    other = alipay_read(world.respond(alipay_open("order1", "9.99"), NOW))
    world.pay(world.find("alipay", "main", "order1", NOW), NOW)
    late = alipay_read(world.respond(alipay_open("order1"), NOW))
    assert ("ACQ.CONTEXT_INCONSISTENT", "ACQ.TRADE_HAS_SUCCESS") == (other["sub_code"], late["sub_code"])


def test_a_forgery_fails_under_alipays_key() -> None:
    """It claims a payment that nobody made, signed by a stranger."""
    world = merchant.world(merchant.Faults(forge=1))
    world.respond(alipay_open("order1"), NOW)
    world.advance(after(6))
    [(_, notice)] = notices(world, after(6))
    with pytest.raises(InvalidSignature):
        alipay_fields(notice)
    assert world.find("alipay", "main", "order1", NOW).paid_at is None


@pytest.mark.parametrize("amount", ["", "abc", "1e3", "0.001", "-1", "NaN"])
def test_what_makes_no_sense_is_refused_politely(amount: str) -> None:
    """ACQ.INVALID_PARAMETER, never a crash, and no trade."""
    world = merchant.world()
    told = alipay_read(world.respond(alipay_open("order1", amount), NOW))
    assert ("ACQ.INVALID_PARAMETER", 0) == (told["sub_code"], len(world.ledger))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [(200, b"success", True), (200, b"success\n", False), (200, b"SUCCESS", False), (201, b"success", False),
     (200, b"", False), (0, b"", False)],
)  # fmt: skip
def test_the_acknowledgement(status: int, body: bytes, expected: bool) -> None:
    """HTTP 200 with exactly the seven bytes."""
    assert expected == merchant.world().provider("alipay", "main").is_acknowledged(status, body)
