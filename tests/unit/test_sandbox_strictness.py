"""What the real channels refuse, the sandbox refuses, and in their words: judged by merchants who make mistakes."""

from itertools import islice

import pytest
import stripe

import sandbox_merchant as merchant
from paidup.errors import InvalidRequest
from paidup.sandbox.ledger import DisputeState, RefundState
from sandbox_merchant import NOW, after, notices, wechat_opened, wechat_read


def paid_at_wechat(**manners):
    world = merchant.world(**manners)
    world.respond(merchant.wechat_open("order1"), NOW)
    world.pay(world.find("wechat", "main", "order1", NOW), NOW)
    notices(world)
    return world


def test_a_refund_that_was_made_fail_stays_failed() -> None:
    """Also one that was under way: its money may be refunded anew, and never twice."""
    world = paid_at_wechat(refund_s=10)
    trade = world.find("wechat", "main", "order1", NOW)
    world.respond(merchant.wechat_refund("order1", "r1", 1250), NOW)
    world.refund_fails(trade, "r1", after(1))
    world.respond(merchant.wechat_refund("order1", "r2", 1250), after(2))
    world.advance(after(60))
    told = [wechat_opened(notice)[0]["event_type"] for _, notice in notices(world)]
    assert ([RefundState.FAILED, RefundState.SUCCEEDED], 1250, ["REFUND.ABNORMAL", "REFUND.SUCCESS"]) == (
        [refund.state for refund in trade.refunds], trade.refunded_minor(), told,
    )  # fmt: skip


def test_a_refund_does_not_fail_twice() -> None:
    """The second time there is nothing to fail, and nobody is told of it."""
    world = paid_at_wechat(refund_s=0)
    trade = world.find("wechat", "main", "order1", NOW)
    world.respond(merchant.wechat_refund("order1", "r1", 400), NOW)
    world.refund_fails(trade, "r1", after(1))
    notices(world)
    with pytest.raises(InvalidRequest, match="failed already"):
        world.refund_fails(trade, "r1", after(2))
    assert [] == notices(world)


def stripe_form(world, target: str, fields: dict[str, str], *, key: str = "", method: str = "POST", now=NOW) -> dict:
    """Stripe's answer to a form with names as they stand."""
    headers = {"authorization": f"Bearer {merchant.keys().stripe.secret}"} | ({"idempotency-key": key} if key else {})
    ask = merchant.Ask(method, target, headers, merchant.urlencode(fields).encode())
    return merchant.stripe_read(world.respond(ask, now))


def line_item(n: int, unit: int, quantity: int, currency: str = "usd") -> dict[str, str]:
    line, price = f"line_items[{n}]", f"line_items[{n}][price_data]"
    return {f"{line}[quantity]": str(quantity), f"{price}[unit_amount]": str(unit), f"{price}[currency]": currency}


def test_a_page_asks_for_all_its_items() -> None:
    """And refuses items in several currencies, or none at all."""
    items = [line_item(0, 300, 2), line_item(1, 100, 1), line_item(10, 25, 4)]
    whole = stripe_form(merchant.world(), "/v1/checkout/sessions", items[0] | items[1] | items[2])
    mixed = stripe_form(merchant.world(), "/v1/checkout/sessions", line_item(0, 300, 2) | line_item(1, 1, 1, "eur"))
    none = stripe_form(merchant.world(), "/v1/checkout/sessions", {"mode": "payment"})
    assert (800, True, True) == (whole["amount_total"], "error" in mixed, "error" in none)


@pytest.mark.parametrize(
    ("target", "more"),
    [
        ("checkout/sessions", {"discounts[0][coupon]": "TENOFF"}),
        ("checkout/sessions", {"mode": "subscription"}),
        ("checkout/sessions", {"shipping_options[0][shipping_rate_data][fixed_amount][amount]": "500"}),
        ("payment_intents", {"capture_method": "manual"}),
        ("payment_intents", {"confirm": "true", "payment_method": "pm_card_visa"}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_not_played_and_changes_the_money_is_refused(target: str, more: dict[str, str]) -> None:
    """And not passed over in silence: Stripe itself would ask for another amount, or move it at another time."""
    fields = {"amount": "800", "currency": "usd"} | line_item(0, 800, 1)
    refused = stripe_form(merchant.world(), f"/v1/{target}", fields | more)
    assert "does not play" in refused["error"]["message"]


class AtHand(stripe.HTTPClient):
    """Stripe's own library, talking to a world without a server between them."""

    name = "at hand"

    def __init__(self, world) -> None:
        super().__init__()
        self._world = world

    def request(self, method, url, headers, post_data=None):
        sent = {name.lower(): value for name, value in headers.items()}
        target = url.removeprefix("https://api.stripe.com")
        tell = self._world.respond(merchant.Ask(method.upper(), target, sent, (post_data or "").encode()), NOW)
        return tell.body, tell.status, dict(tell.headers)


def library(world) -> stripe.StripeClient:
    return stripe.StripeClient(merchant.keys().stripe.secret, http_client=AtHand(world))


def test_stripes_library_pages_to_the_end_of_every_list() -> None:
    """A page ends where the next begins, in both directions; what was never there is no place to begin at."""
    world = merchant.world()
    for ref in ("A", "B", "C"):
        world.respond(merchant.stripe_open(ref), NOW)
        number = world.find("stripe", "main", ref, NOW).number
        world.pay(world.find("stripe", "main", ref, NOW), NOW)
        stripe_form(world, "/v1/refunds", {"payment_intent": number, "amount": "100"})
        stripe_form(world, "/v1/refunds", {"payment_intent": number, "amount": "200"})
    v1 = library(world).v1
    lengths = [
        len(list(islice(first.auto_paging_iter(), 20)))
        for first in (
            v1.refunds.list({"payment_intent": number, "limit": 1}),
            v1.refunds.list({"limit": 1}),
            v1.events.list({"limit": 2}),
            v1.payment_intents.list({"limit": 2}),
            v1.events.list({"created": {"gt": int(NOW.timestamp())}}),
        )
    ]
    assert [2, 6, 9, 3, 0] == lengths
    everything = [refund.id for refund in v1.refunds.list()]
    assert everything[1:3] == [it.id for it in v1.refunds.list({"ending_before": everything[3], "limit": 2})]
    with pytest.raises(stripe.InvalidRequestError, match="No such object"):
        v1.refunds.list({"starting_after": "re_unknown"})


def wechat_raw(target: str, body: bytes) -> merchant.Ask:
    mine, timestamp = merchant.keys().wechat, str(int(NOW.timestamp()))
    signature = merchant.rsa_sign(mine.merchant, f"POST\n{target}\n{timestamp}\nn\n".encode() + body + b"\n")
    claims = f'mchid="{mine.mchid}",nonce_str="n",timestamp="{timestamp}",serial_no="{mine.merchant_serial}"'
    head = f'WECHATPAY2-SHA256-RSA2048 {claims},signature="{signature}"'
    return merchant.Ask("POST", target, {"authorization": head}, body)


def alipay_raw(method: str, biz_content: str) -> merchant.Ask:
    mine = merchant.keys().alipay
    fields = {"app_id": mine.app_id, "biz_content": biz_content, "method": method, "sign_type": "RSA2"}
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    fields["sign"] = merchant.rsa_sign(mine.app, text.encode())
    return merchant.Ask("POST", "/gateway.do", {}, merchant.urlencode(fields).encode())


DEEP = b'{"x":' + b"[" * 100_000
RUN = {
    "report_type": "balance.summary.1",
    "parameters[interval_start]": "1795305600",
    "parameters[interval_end]": "1795392000",
}


def test_json_nested_without_end_is_refused() -> None:
    """Whatever the channel, the answer is the channel's own refusal, and no crash."""
    world = merchant.world()
    wechat = wechat_read(world.respond(wechat_raw("/v3/pay/transactions/native", DEEP), NOW))
    ask = alipay_raw("alipay.trade.query", DEEP.decode())
    alipay = merchant.alipay_read(world.respond(ask, NOW))
    subjects = [world.provider("wechat", "main").subject(wechat_raw("/v3/refund/domestic/refunds", DEEP))]
    subjects.append(world.provider("alipay", "main").subject(ask))
    assert ("PARAM_ERROR", "ACQ.INVALID_PARAMETER") == (wechat["code"], alipay["sub_code"])
    assert ["/v3/refund/domestic/refunds", "alipay.trade.query"] == subjects


@pytest.mark.parametrize("zone", ["Mars/Base", "America", "zone.tab", "../../etc/passwd", "a\0b"])
def test_a_report_in_a_zone_that_there_is_not_is_refused(zone: str) -> None:
    """400 in Stripe's words, and no crash."""
    refused = stripe_form(merchant.world(), "/v1/reporting/report_runs", RUN | {"parameters[timezone]": zone})
    assert "invalid_request_error" == refused["error"]["type"]


@pytest.mark.parametrize("made", ["%C2%B2", "9" * 400, "", "-1"])
def test_a_bills_address_that_nobody_gave_out_is_refused(made: str) -> None:
    """403 at Alipay, whatever stands for the time in it."""
    target = f"/downloadBillFile.resource?app_id=1&fileId=trade.2026-11-22.{made}"
    assert 403 == merchant.world().respond(merchant.Ask("GET", target, {}, b""), NOW).status


def test_an_idempotency_key_is_not_spent_by_nonsense() -> None:
    """Stripe keeps an answer only once it has begun to act; a refusal for the money's sake is kept."""
    world = merchant.world()
    asks = ({"currency": "usd"}, {"currency": "usd", "amount": "500"})
    first, second = (stripe_form(world, "/v1/payment_intents", fields, key="k1") for fields in asks)
    assert ("error", second["id"]) == (next(iter(first)), world.ledger.page(0, 9)[0].number)
    refund = {"payment_intent": second["id"]}
    early = stripe_form(world, "/v1/refunds", refund, key="k2")
    world.pay(world.ledger.page(0, 9)[0], NOW)
    assert early == stripe_form(world, "/v1/refunds", refund, key="k2")
    assert 500 == stripe_form(world, "/v1/refunds", refund, key="k3")["amount"]


def test_the_order_of_a_form_is_not_what_it_asks_for() -> None:
    """A repetition that names the same parameters in another order is one."""
    world, fields = merchant.world(), {"amount": "500", "currency": "usd"}
    first = stripe_form(world, "/v1/payment_intents", fields, key="k1")
    assert first == stripe_form(world, "/v1/payment_intents", dict(reversed(fields.items())), key="k1")
    other = stripe_form(world, "/v1/payment_intents", fields | {"amount": "501"}, key="k1")
    assert "idempotency_error" == other["error"]["type"]


@pytest.mark.parametrize("method", ["alipay.trade.pay", "alipay.trade.wap.pay", "alipay.trade.create", "nonsense"])
def test_a_method_that_is_not_spoken_is_called_so(method: str) -> None:
    """40002 isv.invalid-method, and never that a trade is not there, whether it is or not."""
    world = merchant.world()
    world.respond(merchant.alipay_open("A1"), NOW)
    world.pay(world.find("alipay", "main", "A1", NOW), NOW)
    for ref in ("A1", "A2"):
        ask = merchant.alipay_ask(method, out_trade_no=ref, total_amount="1.00", subject="tea")
        told = merchant.alipay_read(world.respond(ask, NOW))
        assert ("40002", "isv.invalid-method") == (told["code"], told["sub_code"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_amount": "0"},
        {"total_amount": "0.00"},
        {"total_amount": "100000000.01"},
        {"time_expire": "2026-11-23 16:00:00"},
        {"timeout_express": "0m"},
        {"timeout_express": "16d"},
        {"timeout_express": "2c"},
    ],
    ids=lambda wrong: "".join(wrong.values()),
)
def test_a_trade_at_alipay_that_nobody_could_pay_is_not_opened(wrong: dict[str, str]) -> None:
    """Of nothing, of too much, over before it began, or open for longer than fifteen days."""
    world = merchant.world()
    fields = {"out_trade_no": "A1", "subject": "tea", "total_amount": "1.00"} | wrong
    told = merchant.alipay_read(world.respond(merchant.alipay_ask("alipay.trade.precreate", **fields), NOW))
    assert ("ACQ.INVALID_PARAMETER", 0) == (told["sub_code"], len(world.ledger))


def test_a_trade_of_1c_is_open_until_the_day_ends_in_beijing() -> None:
    """NOW is 16:00 there."""
    world = merchant.world()
    world.respond(merchant.alipay_open("A1", timeout_express="1c"), NOW)
    assert after(8 * 3600) == world.find("alipay", "main", "A1", NOW).expires_at


def test_alipays_own_number_goes_before_the_merchants() -> None:
    """Where both are named; a wrong one is not made good by the other."""
    world = merchant.world()
    for ref in ("A1", "A2"):
        world.respond(merchant.alipay_open(ref), NOW)
        world.pay(world.find("alipay", "main", ref, NOW), NOW)
    number = world.find("alipay", "main", "A2", NOW).number
    asks = [merchant.alipay_ask("alipay.trade.query", out_trade_no="A1", trade_no=it) for it in (number, "2026nobody")]
    told = [merchant.alipay_read(world.respond(ask, NOW)) for ask in asks]
    assert ("A2", "ACQ.TRADE_NOT_EXIST") == (told[0]["out_trade_no"], told[1]["sub_code"])


def test_a_number_in_an_address_may_be_percent_encoded() -> None:
    """As WeChat Pay's own libraries send `|`, `*` and `@`; the signature covers the address as it was sent."""
    world = merchant.world()
    world.respond(merchant.wechat_open("order|1*"), NOW)
    world.pay(world.find("wechat", "main", "order|1*", NOW), NOW)
    world.respond(merchant.wechat_refund("order|1*", "r@1", 100), NOW)
    paid = wechat_read(world.respond(merchant.wechat_query("order%7C1%2A"), NOW))
    closed = wechat_read(world.respond(merchant.wechat_close("order%7C1%2A"), NOW))
    refund = wechat_read(world.respond(merchant.wechat_ask("GET", "/v3/refund/domestic/refunds/r%401"), NOW))
    assert ("order|1*", "ORDERPAID", "r@1") == (paid["out_trade_no"], closed["code"], refund["out_refund_no"])


def test_what_the_merchant_attached_comes_back() -> None:
    """In the query, in the notice and in the bill; and a jsapi order is paid by whom it names."""
    world = merchant.world()
    payer = {"openid": "oSomebody"}
    world.respond(merchant.wechat_open("order1", method="jsapi", attach="table 7", payer=payer), NOW)
    world.pay(world.find("wechat", "main", "order1", NOW), NOW)
    [(_, notice)] = notices(world)
    asked = wechat_read(world.respond(merchant.wechat_query("order1"), NOW))
    told = wechat_opened(notice)[1]
    assert [("table 7", payer)] * 2 == [(it["attach"], it["payer"]) for it in (asked, told)]
    [entry] = world.bills.day("wechat", "main", NOW.date(), merchant.BEIJING).entries
    assert "table 7" == entry.attach


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("jsapi", {}),
        ("h5", {"scene_info": {"payer_client_ip": "192.0.2.1"}}),
        ("native", {"amount": {"total": 1250, "currency": "USD"}}),
        ("native", {"description": ""}),
        ("native", {"description": "x" * 128}),
        ("native", {"attach": "x" * 129}),
        ("native", {"notify_url": "shop.example/notify"}),
        ("native", {"time_expire": "2026-11-23T16:00:00+08:00"}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_order_that_wechat_pay_would_not_take_is_refused(method: str, wrong: dict[str, object]) -> None:
    """PARAM_ERROR, and no order."""
    world = merchant.world()
    told = wechat_read(world.respond(merchant.wechat_open("order1", method=method, **wrong), NOW))
    assert ("PARAM_ERROR", 0) == (told["code"], len(world.ledger))


def test_another_order_under_the_same_number_is_403() -> None:
    """OUT_TRADE_NO_USED, with the status that WeChat Pay's table of errors gives it."""
    world = merchant.world()
    tells = [world.respond(merchant.wechat_open("order1", total), NOW) for total in (1250, 1251)]
    assert [200, 403] == [tell.status for tell in tells]


def test_a_refund_names_its_currency_and_comes_within_a_year() -> None:
    """PARAM_ERROR without a currency; after a year nothing goes back."""
    world = paid_at_wechat()
    body = {"out_trade_no": "order1", "out_refund_no": "r1", "amount": {"refund": 1, "total": 1250}}
    nameless = world.respond(merchant.wechat_ask("POST", "/v3/refund/domestic/refunds", body), NOW)
    year = 365 * 86400
    codes = [
        wechat_read(world.respond(merchant.wechat_refund("order1", f"r{s}", 1, now=after(s)), after(s))).get("code")
        for s in (year, year + 1)
    ]
    assert ("PARAM_ERROR", [None, "INVALID_REQUEST"]) == (wechat_read(nameless)["code"], codes)


@pytest.mark.parametrize(
    ("amount", "currency", "taken"),
    [
        ("50", "usd", True),
        ("49", "usd", False),
        ("29", "gbp", False),
        ("99999999", "usd", True),
        ("100000000", "usd", False),
        ("100000000", "idr", True),
        ("500", "rmb", False),
        ("500", "xxx", False),
        ("500", "CNY", True),
    ],
)
def test_stripe_takes_what_it_can_charge(amount: str, currency: str, taken: bool) -> None:
    """At least half a dollar, at most eight digits, in a currency that there is; so do pages."""
    asks = [("payment_intents", {"amount": amount, "currency": currency})]
    asks.append(("checkout/sessions", line_item(0, int(amount), 1, currency)))
    told = [stripe_form(merchant.world(), f"/v1/{target}", fields) for target, fields in asks]
    assert [taken, taken] == ["id" in one for one in told]


def test_stripes_library_finds_the_fields_that_are_always_there() -> None:
    """Whatever its types call a field of these objects, be it null; it raises for one that is not there."""
    world = merchant.world()
    v1 = library(world).v1
    item = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 800, "product_data": {"name": "tea"}}}
    pages = {"success_url": "https://shop.example/thanks", "cancel_url": "https://shop.example/cart"}
    page = v1.checkout.sessions.create({"mode": "payment", "line_items": [item]} | pages)
    intent = v1.payment_intents.create({"amount": 800, "currency": "usd"})
    world.pay(world.find("stripe", "main", intent.id, NOW), NOW)
    world.dispute(world.find("stripe", "main", intent.id, NOW), DisputeState.OPENED, NOW)
    refund = v1.refunds.create({"payment_intent": intent.id, "reason": "duplicate"})
    dispute = next(iter(v1.events.list({"type": "charge.dispute.created"}))).data.object
    other = v1.payment_intents.create({"amount": 800, "currency": "usd"})
    cancelled = v1.payment_intents.cancel(other.id, {"cancellation_reason": "abandoned"})
    assert (None, None, [], 800) == (page.customer, page.customer_details, page.custom_fields, page.amount_subtotal)
    assert pages == {name: page[name] for name in pages}
    assert (None, None, ["card"], "abandoned") == (
        intent.customer, intent.payment_method, intent.payment_method_types, cancelled.cancellation_reason,
    )  # fmt: skip
    assert ("duplicate", None, int(NOW.timestamp())) == (refund.reason, refund.receipt_number, dispute.created)
