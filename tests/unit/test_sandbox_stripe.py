"""The sandbox's Stripe, judged by plain HMAC and by Stripe's own library."""

import json
from datetime import timedelta

import pytest
import stripe

import sandbox_merchant as merchant
from paidup.clock import SystemClock
from paidup.sandbox.ledger import DisputeState
from sandbox_merchant import NOW, after, keys, notices, stripe_ask, stripe_check, stripe_open, stripe_read

PAGE = {
    "mode": "payment",
    "client_reference_id": "order1",
    "line_items[0][quantity]": "2",
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "625",
    "success_url": "https://shop.example/thanks",
}


def opened(faults=None, **manners):
    world = merchant.world(faults, **manners)
    return world, stripe_read(world.respond(stripe_open("order1"), NOW))["id"]


def paid(**manners):
    world, number = opened(**manners)
    world.pay(world.find("stripe", "main", number, NOW), after(20))
    return world, number


def page_open(world) -> dict:
    body = merchant.urlencode(PAGE).encode()
    headers = {"authorization": f"Bearer {keys().stripe.secret}"}
    return stripe_read(world.respond(merchant.Ask("POST", "/v1/checkout/sessions", headers, body), NOW))


def get(world, target: str) -> dict:
    return stripe_read(world.respond(stripe_ask("GET", target), NOW))


def post(world, target: str, **fields: str) -> dict:
    return stripe_read(world.respond(stripe_ask("POST", target, **fields), NOW))


@pytest.mark.parametrize("secret", ["", "sk_test_stranger"])
def test_who_is_not_the_merchant_is_refused(secret: str) -> None:
    """401."""
    assert 401 == merchant.world().respond(stripe_ask("GET", "/v1/events", secret=secret), NOW).status


def test_curl_may_send_the_key_as_user() -> None:
    """Basic authentication with the key and no password, as Stripe's examples do."""
    basic = merchant.base64.b64encode(f"{keys().stripe.secret}:".encode()).decode()
    ask = merchant.Ask("GET", "/v1/events", {"authorization": f"Basic {basic}"}, b"")
    assert 200 == merchant.world().respond(ask, NOW).status


@pytest.mark.parametrize(("currency", "fine", "odd"), [("isk", "130000", "130050"), ("kwd", "1250", "1255")])
def test_an_amount_that_stripe_cannot_take_is_refused(currency: str, fine: str, odd: str) -> None:
    """ISK and UGX are counted in hundredths that must be 00, and three decimals must end in 0."""
    told = [post(merchant.world(), "/v1/payment_intents", amount=it, currency=currency) for it in (fine, odd)]
    assert (int(fine), "parameter_invalid") == (told[0]["amount"], told[1]["error"]["code"])


def test_an_intent_waits_and_is_then_paid() -> None:
    """What was received is nothing until the buyer pays."""
    world, number = opened()
    before = get(world, f"/v1/payment_intents/{number}")
    world.pay(world.find("stripe", "main", "order1", NOW), after(20))
    after_it = get(world, f"/v1/payment_intents/{number}")
    assert [("requires_payment_method", 0), ("succeeded", 1250)] == [
        (intent["status"], intent["amount_received"]) for intent in (before, after_it)
    ]
    assert {"order": "order1"} == after_it["metadata"]


def test_stripes_own_library_accepts_the_events() -> None:
    """Webhook.construct_event, with its tolerance of 300 s against the machine's clock."""
    world, _ = paid()
    [(_, notice)] = notices(world, SystemClock().now())
    event = stripe.Webhook.construct_event(notice.body, notice.headers["stripe-signature"], keys().stripe.webhook)
    assert ("payment_intent.succeeded", 1250) == (event["type"], event["data"]["object"]["amount_received"])


def test_an_event_is_signed_anew_and_stays_the_same() -> None:
    """Id and bytes stay for every sending; the signature carries the time of this one."""
    world, _ = paid()
    [news] = world.news
    provider = world.provider("stripe", "main")
    first, later = provider.notice(news, after(20)), provider.notice(news, after(80))
    assert [first.body, True, True] == [later.body, stripe_check(first), stripe_check(later)]
    assert first.headers["stripe-signature"] != later.headers["stripe-signature"]


def test_a_forgery_is_signed_by_a_strangers_secret() -> None:
    """Stripe's own library refuses it, too."""
    world, number = opened(merchant.Faults(forge=1))
    world.advance(after(6))
    [(_, notice)] = notices(world, SystemClock().now())
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(notice.body, notice.headers["stripe-signature"], keys().stripe.webhook)
    assert ("succeeded", None) == (
        json.loads(notice.body)["data"]["object"]["status"], world.find("stripe", "main", number, NOW).paid_at,
    )  # fmt: skip


def test_an_idempotency_key_gives_the_same_answer_again() -> None:
    """One intent; the repetition says so."""
    world = merchant.world()
    first, again = (world.respond(stripe_open("order1", key="k1"), NOW) for _ in range(2))
    assert (first.body, "true", 1) == (again.body, again.headers["idempotent-replayed"], len(world.ledger))


def test_an_idempotency_key_keeps_refusals_too() -> None:
    """What was refused under a key stays refused, though it would work now."""
    world, number = opened()
    ask = stripe_ask("POST", "/v1/refunds", key="k1", payment_intent=number)
    refused = world.respond(ask, NOW)
    world.pay(world.find("stripe", "main", number, NOW), NOW)
    assert (400, refused.body) == (refused.status, world.respond(ask, NOW).body)


def test_an_idempotency_key_is_for_one_content() -> None:
    """idempotency_error for another amount under it."""
    world = merchant.world()
    world.respond(stripe_open("order1", key="k1"), NOW)
    told = stripe_read(world.respond(stripe_open("order1", "9", key="k1"), NOW))
    assert ("idempotency_error", 1) == (told["error"]["type"], len(world.ledger))


def test_an_idempotency_key_is_forgotten_after_a_day() -> None:
    """Whoever sends again so late makes a second one."""
    world = merchant.world()
    for hours in (0, 23, 24):
        world.respond(stripe_open("order1", key="k1"), NOW + timedelta(hours=hours))
    assert 2 == len(world.ledger)


def test_without_a_key_the_same_opening_makes_two() -> None:
    """Metadata are mere notes to Stripe: both can be paid."""
    world = merchant.world()
    numbers = {stripe_read(world.respond(stripe_open("order1"), NOW))["id"] for _ in range(2)}
    assert [True, True] == [world.pay(world.find("stripe", "main", number, NOW), NOW) for number in numbers]


def test_a_page_has_its_intent_once_it_is_paid() -> None:
    """Before that the intent is unknown; the payment is told of as the page, by an id as long as Stripe's, and as its
    intent."""
    world = merchant.world()
    page = page_open(world)
    assert len("cs_test_a11YYufWQzNY63zpQ6QSNRQhkUpVph4WRmzW0zWJO2znZKdVujZ0N0S22u") == len(page["id"])
    assert ("open", None, 1250) == (page["status"], page["payment_intent"], page["amount_total"])
    hidden = world.find("stripe", "main", "order1", NOW).number
    assert "resource_missing" == get(world, f"/v1/payment_intents/{hidden}")["error"]["code"]
    world.pay(world.find("stripe", "main", "order1", NOW), NOW)
    told = [json.loads(notice.body)["type"] for _, notice in notices(world)]
    assert ["checkout.session.completed", "payment_intent.succeeded"] == told
    shown = get(world, f"/v1/checkout/sessions/{page['id']}")
    assert ("complete", "succeeded") == (
        shown["status"], get(world, f"/v1/payment_intents/{shown['payment_intent']}")["status"],
    )  # fmt: skip


def test_after_a_declined_card_a_page_has_an_intent_and_is_closed_as_a_page() -> None:
    """The intent is told of and known from the first attempt on, its page is found by it, and cancelling is refused."""
    world = merchant.world()
    page = page_open(world)
    world.fail(world.find("stripe", "main", "order1", NOW), NOW)
    intent = json.loads(notices(world)[0][1].body)["data"]["object"]["id"]
    assert "requires_payment_method" == get(world, f"/v1/payment_intents/{intent}")["status"]
    [found] = get(world, f"/v1/checkout/sessions?payment_intent={intent}&expand[]=data.payment_intent")["data"]
    assert (page["id"], "open", intent) == (found["id"], found["status"], found["payment_intent"]["id"])
    assert "created by Checkout" in post(world, f"/v1/payment_intents/{intent}/cancel")["error"]["message"]
    assert "expired" == post(world, f"/v1/checkout/sessions/{page['id']}/expire")["status"]


def test_a_page_can_be_expired_but_not_twice() -> None:
    """checkout.session.expired is told of once, and nobody can pay it."""
    world = merchant.world()
    page = page_open(world)
    states = [post(world, f"/v1/checkout/sessions/{page['id']}/expire").get("status", "refused") for _ in range(2)]
    assert (["expired", "refused"], ["checkout.session.expired"]) == (states, [news.kind for news in world.news])
    assert not world.pay(world.find("stripe", "main", "order1", NOW), NOW)


def test_cancelling_a_paid_intent_is_refused_and_shows_it() -> None:
    """payment_intent_unexpected_state, with the intent as it stands."""
    world, number = paid()
    error = post(world, f"/v1/payment_intents/{number}/cancel")["error"]
    assert ("payment_intent_unexpected_state", "succeeded") == (error["code"], error["payment_intent"]["status"])


def test_a_cancelled_intent_is_told_of() -> None:
    """Stripe is the one of the three that tells of a close."""
    world, number = opened()
    assert "canceled" == post(world, f"/v1/payment_intents/{number}/cancel")["status"]
    assert ["payment_intent.canceled"] == [news.kind for news in world.news]


def test_what_nobody_made_is_missing() -> None:
    """404 resource_missing."""
    world = merchant.world()
    tells = [
        world.respond(stripe_ask("GET", f"/v1/{path}"), NOW)
        for path in ("payment_intents/pi_1", "checkout/sessions/cs_1", "refunds/re_1", "events/evt_1", "nothing")
    ]
    assert {(404, "resource_missing")} == {(tell.status, stripe_read(tell)["error"]["code"]) for tell in tells}


def test_refunds_are_made_listed_and_bounded() -> None:
    """Newest first; without an amount the rest; nothing more than was paid."""
    world, number = paid()
    first = post(world, "/v1/refunds", payment_intent=number, amount="400", metadata__refund="r1")
    rest = post(world, "/v1/refunds", payment_intent=number)
    more = post(world, "/v1/refunds", payment_intent=number, amount="1")
    listed = get(world, f"/v1/refunds?payment_intent={number}&limit=1")
    assert (400, 850, "charge_already_refunded") == (first["amount"], rest["amount"], more["error"]["code"])
    assert ([rest["id"]], True) == ([refund["id"] for refund in listed["data"]], listed["has_more"])


def test_a_refund_that_succeeded_may_fail_later() -> None:
    """refund.failed, and the money is the merchant's again."""
    world, number = paid(refund_s=5, faults=merchant.Faults(refund_fail=1))
    notices(world)
    refund = post(world, "/v1/refunds", payment_intent=number, amount="400")
    world.advance(after(5))
    assert ("succeeded", "failed") == (refund["status"], get(world, f"/v1/refunds/{refund['id']}")["status"])
    assert (["refund.created", "refund.failed"], 0) == (
        [news.kind for news in world.news], world.find("stripe", "main", number, NOW).refunded_minor(),
    )  # fmt: skip


def test_a_dispute_is_opened_and_ends() -> None:
    """charge.dispute.created and .closed, under two ids."""
    world, number = paid()
    notices(world)
    trade = world.find("stripe", "main", number, NOW)
    for says in (DisputeState.OPENED, DisputeState.LOST):
        world.dispute(trade, says, NOW)
    told = [json.loads(notice.body) for _, notice in notices(world)]
    assert [("charge.dispute.created", "needs_response"), ("charge.dispute.closed", "lost")] == [
        (event["type"], event["data"]["object"]["status"]) for event in told
    ]
    assert told[0]["id"] != told[1]["id"]


def test_an_inquiry_closes_or_becomes_a_dispute() -> None:
    """charge.dispute.created, .updated and .closed, with the statuses that say whether money has moved."""
    for rest, expected in (
        ([DisputeState.WON], [("closed", "warning_closed", True)]),
        ([DisputeState.OPENED, DisputeState.WON], [("updated", "needs_response", False), ("closed", "won", False)]),
    ):
        world, number = paid()
        notices(world)
        for says in (DisputeState.INQUIRED, *rest):
            world.dispute(world.find("stripe", "main", number, NOW), says, NOW)
        told = [json.loads(notice.body) for _, notice in notices(world)]
        objects = [(event["type"].rpartition(".")[2], event["data"]["object"]) for event in told]
        assert [("created", "warning_needs_response", True), *expected] == [
            (kind, dispute["status"], dispute["is_charge_refundable"]) for kind, dispute in objects
        ]


def test_events_that_were_not_delivered_can_be_asked_for() -> None:
    """delivery_success=false fills the gaps; types[] chooses."""
    world, number = paid()
    post(world, "/v1/refunds", payment_intent=number, amount="400")
    [payment, _] = world.news
    world.provider("stripe", "main").acknowledged(payment)
    listed = [
        [event["type"] for event in get(world, f"/v1/events?{query}")["data"]]
        for query in ("delivery_success=false", "types[]=payment_intent.succeeded", "limit=1")
    ]
    assert [["refund.created"], ["payment_intent.succeeded"], ["refund.created"]] == listed


@pytest.mark.parametrize("amount", ["", "0", "-5", "12.5", "٣", "9" * 13])
def test_what_makes_no_sense_is_refused_politely(amount: str) -> None:
    """400 parameter_invalid, never a crash, and nothing is made."""
    world = merchant.world()
    tell = world.respond(stripe_open("order1", amount), NOW)
    assert (400, "parameter_invalid", 0) == (tell.status, stripe_read(tell)["error"]["code"], len(world.ledger))


@pytest.mark.parametrize(("status", "expected"), [(200, True), (299, True), (302, False), (500, False), (0, False)])
def test_the_acknowledgement(status: int, expected: bool) -> None:
    """Any 2xx; a redirect is none."""
    assert expected == merchant.world().provider("stripe", "main").is_acknowledged(status, b"")


def test_what_a_stranger_claims_stands_in_no_list_of_events() -> None:
    """The forged notice is sent, and Stripe itself knows of no such event: who asks it finds out."""
    world, _ = opened(merchant.Faults(forge=1))
    world.advance(after(10))
    [news] = world.news
    assert (True, "payment_intent.succeeded") == (news.forged, news.kind)
    assert [] == [event["type"] for event in get(world, "/v1/events")["data"]]
