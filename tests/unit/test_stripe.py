"""Stripe: webhooks, the API's answers, and what they mean."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from paidup.channels.messages import CallbackRequest, Declined, Exchange, Response, Retryable, Success, Unknown
from paidup.channels.stripe import STRIPE
from paidup.channels.stripe.amount import from_stripe, to_stripe
from paidup.errors import CallbackRefused, ConfigError, InvalidRequest, Verdict
from paidup.evidence import DisputeEvidence, DisputeSays, PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road
from paidup.money import Money
from paidup.refunds.decide import decide
from paidup.refunds.states import State as RefundState
from paidup.testing.builders import a_refund
from stripe_side import (
    CHARGE,
    DISPUTE,
    FILES,
    INTENT,
    NOW,
    NOW_S,
    REFUND,
    SECRET,
    SESSION,
    TABLE,
    account,
    answer,
    callback,
    error,
    event,
    header,
    name_of,
    parameters,
    refund_of,
    sent_header,
    to_open,
)

USD = Money(1250, "USD")


def verdict(request: CallbackRequest, now: datetime = NOW) -> Verdict:
    try:
        STRIPE.read_callback(request, account(), now)
    except CallbackRefused as refused:
        return refused.verdict
    return Verdict.VALID


def evidence(kind: str, of, **more: object):
    return STRIPE.read_callback(callback(event(kind, of, **more)), account(), NOW).evidence


# Signatures -------------------------------------------------------------------------------------------------------


def test_we_agree_with_stripes_own_library_on_what_is_signed() -> None:
    """Our reader takes what their signer signs, and their verifier takes what our test signer signs."""
    body = event("payment_intent.succeeded", INTENT)
    theirs = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, NOW_S)
    assert Verdict.VALID == verdict(callback(body, theirs))
    assert stripe.WebhookSignature.verify_header(body.decode(), header(body), SECRET)


@given(st.binary(max_size=200), st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_a_refusal(body: bytes, signature: str) -> None:
    """Hostile bodies and headers are refused, never an accident."""
    assert Verdict.VALID != verdict(callback(body, signature or "t=1"))


@given(st.binary(max_size=100))
@settings(max_examples=100, deadline=None)
def test_no_signed_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    """Rubbish under a good signature is malformed."""
    assert Verdict.MALFORMED == verdict(callback(body))


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON = st.recursive(SCALARS, lambda it: st.lists(it, max_size=2))


@given(st.dictionaries(st.sampled_from([*INTENT, *SESSION, *DISPUTE]), JSON), st.sampled_from(["INTENT", "SESSION"]))
@settings(max_examples=100, deadline=None)
def test_no_odd_object_raises_anything_but_a_refusal(fields, which: str) -> None:
    """A signed event whose object has values of any kind is read or refused, never an accident."""
    kind, of = {"INTENT": ("payment_intent.x", INTENT), "SESSION": ("checkout.session.x", SESSION)}[which]
    assert verdict(callback(event(kind, {**of, **fields}))) in (Verdict.VALID, Verdict.MALFORMED)


@pytest.mark.parametrize(
    ("off_s", "expected"),
    [(-301, Verdict.EXPIRED), (-300, Verdict.VALID), (300, Verdict.VALID), (301, Verdict.EXPIRED)],
)
def test_the_time_may_be_off_by_300_s_on_both_sides(off_s: int, expected: Verdict) -> None:
    """Older or further ahead is refused."""
    body = event("payment_intent.succeeded", INTENT)
    assert expected == verdict(callback(body, header(body, at_s=NOW_S + off_s)))


def test_a_rolled_secret_is_accepted_beside_the_new_one() -> None:
    """Any configured secret and any v1 of the header may match."""
    body = event("payment_intent.succeeded", INTENT)
    assert Verdict.VALID == verdict(callback(body, header(body, secrets=("whsec_new", SECRET))))
    table = {**TABLE, "webhook_secrets": ["new.secret", "webhook.secret"]}
    both = STRIPE.parse_account("main", table, {**FILES, "new.secret": b"whsec_new"})
    assert "evt_1" == STRIPE.read_callback(callback(body), both, NOW).key


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        (f"t={NOW_S},t={NOW_S},v1=00", Verdict.MALFORMED),
        (f"t=+{NOW_S},v1=00", Verdict.MALFORMED),
        ("t=٣,v1=00", Verdict.MALFORMED),
        (f"t={NOW_S},v0=00", Verdict.MALFORMED),
        ("x" * 5000, Verdict.MALFORMED),
        (f"t={NOW_S},v1=é", Verdict.INVALID_SIGNATURE),
    ],
)
def test_a_header_that_is_not_stripes_is_refused(signature: str, expected: Verdict) -> None:
    """Two times, signed numbers, foreign digits, no v1, too long, not ASCII."""
    assert expected == verdict(callback(event("payment_intent.succeeded", INTENT), signature))


def test_two_signature_headers_are_as_bad_as_none() -> None:
    """Nobody chooses between them."""
    good = callback(event("payment_intent.succeeded", INTENT))
    twice = CallbackRequest(good.method, good.target, (*good.headers, good.headers[1]), good.body)
    assert Verdict.MALFORMED == verdict(twice)


def test_a_body_without_end_is_refused() -> None:
    """More than a mebibyte is no event, however well it begins."""
    for length, expected in ((1 << 20, Verdict.VALID), ((1 << 20) + 1, Verdict.MALFORMED)):
        assert expected == verdict(callback(event("payment_intent.succeeded", INTENT).ljust(length)))


# Events -----------------------------------------------------------------------------------------------------------


def test_a_paid_intent_is_evidence_with_amount_mode_and_time() -> None:
    """payment_intent.succeeded says PAID with what was received, in the mode it happened in."""
    expected = PaymentEvidence(
        road=Road.CALLBACK,
        channel="stripe",
        account="main",
        key="evt_1",
        received_at=NOW,
        occurred_at=NOW - timedelta(seconds=5),
        merchant_ref="pay1",
        channel_txn_id="pi_1",
        amount=USD,
        payee="test",
        note="succeeded",
        says=PaymentSays.PAID,
    )
    assert (expected,) == evidence("payment_intent.succeeded", INTENT)


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("payment_intent.created", "requires_payment_method", PaymentSays.WAITING),
        ("payment_intent.created", "requires_confirmation", PaymentSays.WAITING),
        ("payment_intent.requires_action", "requires_action", PaymentSays.WAITING),
        ("payment_intent.processing", "processing", PaymentSays.WAITING),
        ("payment_intent.amount_capturable_updated", "requires_capture", PaymentSays.WAITING),
        ("payment_intent.payment_failed", "requires_payment_method", PaymentSays.FAILED),
        ("payment_intent.payment_failed", "succeeded", PaymentSays.PAID),
        ("payment_intent.canceled", "canceled", PaymentSays.CLOSED),
    ],
)
def test_an_intents_status_decides(kind: str, status: str, says: PaymentSays) -> None:
    """A failed attempt does not end a payment, and authorised money is not yet ours."""
    (found,) = evidence(kind, {**INTENT, "status": status})
    assert says == found.says


def test_a_partial_capture_states_what_was_received() -> None:
    """So that it does not pass for the agreed amount; nothing received is nothing, and nothing stated is no less. Until
    it is paid an intent has received nothing, and states what was asked for."""
    for received in (1000, 0):
        (found,) = evidence("payment_intent.succeeded", {**INTENT, "amount_received": received})
        assert Money(received, "USD") == found.amount
    (waiting,) = evidence("payment_intent.processing", {**INTENT, "status": "processing", "amount_received": 0})
    assert (PaymentSays.WAITING, USD) == (waiting.says, waiting.amount)
    (unstated,) = evidence("payment_intent.succeeded", {**INTENT, "amount_received": None})
    assert (PaymentSays.PAID, USD) == (unstated.says, unstated.amount)


@pytest.mark.parametrize(
    ("kind", "fields", "says", "txn_id"),
    [
        ("completed", {}, PaymentSays.PAID, "pi_1"),
        ("completed", {"payment_status": "unpaid"}, PaymentSays.WAITING, "pi_1"),
        ("async_payment_succeeded", {}, PaymentSays.PAID, "pi_1"),
        ("async_payment_failed", {"payment_status": "unpaid"}, PaymentSays.CLOSED, "pi_1"),
        ("async_payment_failed", {}, PaymentSays.PAID, "pi_1"),
        (
            "expired",
            {"status": "expired", "payment_status": "unpaid", "payment_intent": None},
            PaymentSays.CLOSED,
            "cs_1",
        ),
    ],
)
def test_a_checkout_page_tells_of_its_payment(kind: str, fields, says: PaymentSays, txn_id: str) -> None:
    """Completed is not paid: some ways of paying take days, and when they fail the page takes no second attempt. But
    what the page calls paid is paid. The page's id stands in until there is an intent."""
    (found,) = evidence(f"checkout.session.{kind}", {**SESSION, **fields})
    assert (says, txn_id, "pay1", USD) == (found.says, found.channel_txn_id, found.merchant_ref, found.amount)


@pytest.mark.parametrize(
    ("fields", "ref", "other"),
    [
        ({"metadata": {"paidup_payment": "pay1"}, "client_reference_id": "the shop's own"}, "pay1", None),
        ({"metadata": {"paidup_payment": "pay1"}, "client_reference_id": None}, "pay1", None),
        ({"metadata": None}, "pay1", "cs_1"),
        ({"metadata": {}, "client_reference_id": None}, "pi_1", "cs_1"),
    ],
)
def test_a_page_goes_by_our_number_wherever_it_stands(fields, ref: str, other: str | None) -> None:
    """In its metadata before all else; without one it goes by the id that people find at Stripe. A page that we did not
    open goes by its own id, too: by that the shop may have registered it."""
    (found,) = evidence("checkout.session.completed", {**SESSION, **fields})
    assert (ref, other, "complete/paid") == (found.merchant_ref, found.other_ref, found.note)


@pytest.mark.parametrize("mode", ["subscription", "setup"])
def test_a_page_that_sells_nothing_once_is_no_payment(mode: str) -> None:
    """A subscription is paid by invoices, and a setup takes no money."""
    assert () == evidence("checkout.session.completed", {**SESSION, "mode": mode})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "complete", "payment_status": "no_payment_required"}, PaymentSays.PAID),
        ({"status": "open", "payment_status": "no_payment_required"}, PaymentSays.WAITING),
        ({"status": "open", "payment_status": "paid"}, PaymentSays.WAITING),
        ({"status": None, "payment_status": "unpaid"}, PaymentSays.WAITING),
        ({"status": "complete", "payment_status": "brand_new"}, PaymentSays.WAITING),
    ],
)
def test_a_page_is_paid_once_it_is_complete(fields, says: PaymentSays) -> None:
    """A coupon may leave nothing to pay; a page that is still open is not paid, whatever else it states."""
    (found,) = evidence("checkout.session.completed", {**SESSION, **fields})
    assert says == found.says


@pytest.mark.parametrize("missing", ["amount_total", "currency"])
def test_a_page_that_leaves_half_of_its_amount_out_states_none(missing: str) -> None:
    """What was agreed is then neither met nor missed by it."""
    (found,) = evidence("checkout.session.completed", {**SESSION, missing: None})
    assert (PaymentSays.PAID, None) == (found.says, found.amount)


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("pending", RefundSays.PENDING),
        ("requires_action", RefundSays.PENDING),
        ("succeeded", RefundSays.SUCCEEDED),
        ("failed", RefundSays.FAILED),
        ("canceled", RefundSays.FAILED),
    ],
)
def test_a_refunds_status_decides(kind: str, status: str, says: RefundSays) -> None:
    """Under each of its events the refund names itself, the payment and its own amount."""
    (found,) = evidence(kind, {**REFUND, "status": status})
    told = (found.says, found.merchant_refund_ref, found.channel_refund_id, found.merchant_ref, found.amount)
    assert (says, "ref1", "re_1", "pay1", Money(500, "USD")) == told


def test_the_event_of_a_refund_tells_all_of_it() -> None:
    """Whose it is, which refund of which payment, how much, when and in which mode."""
    expected = RefundEvidence(
        road=Road.CALLBACK, channel="stripe", account="main", key="evt_1", received_at=NOW,
        occurred_at=NOW - timedelta(seconds=5), merchant_ref="pay1", channel_txn_id="pi_1", amount=Money(500, "USD"),
        payee="test", note="succeeded", says=RefundSays.SUCCEEDED, merchant_refund_ref="ref1", channel_refund_id="re_1",
    )  # fmt: skip
    assert (expected,) == evidence("refund.created", REFUND)


def test_the_event_of_a_dispute_tells_all_of_it() -> None:
    """Whose it is, of which payment, how much, when and in which mode."""
    expected = DisputeEvidence(
        road=Road.CALLBACK, channel="stripe", account="main", key="evt_1", received_at=NOW,
        occurred_at=NOW - timedelta(seconds=5), merchant_ref="pi_1", channel_txn_id="pi_1", amount=USD,
        payee="test", note="needs_response", says=DisputeSays.OPENED, dispute_id="dp_1",
    )  # fmt: skip
    assert (expected,) == evidence("charge.dispute.created", DISPUTE)


@pytest.mark.parametrize(("kind", "of"), [("refund.created", REFUND), ("charge.dispute.created", DISPUTE)])
def test_without_our_number_news_go_by_stripes(kind: str, of) -> None:
    """A refund or dispute names the payment by our number, by its intent, or, of an old payment, by its charge."""
    (named,) = evidence(kind, {**of, "metadata": {"paidup_payment": "pay7"}})
    assert ("pay7", "pi_1") == (named.merchant_ref, named.channel_txn_id)
    (by_intent,) = evidence(kind, {**of, "metadata": None})
    assert ("pi_1", "pi_1") == (by_intent.merchant_ref, by_intent.channel_txn_id)
    (by_charge,) = evidence(kind, {**of, "metadata": None, "payment_intent": None})
    assert (None, "ch_1") == (by_charge.merchant_ref, by_charge.channel_txn_id)


def test_a_charge_without_an_intent_is_known_by_its_own_id() -> None:
    """So it is with payments from before there were intents; what was captured is then all of it."""
    (paid,) = evidence("charge.refunded", {**CHARGE, "payment_intent": None, "amount_captured": None})
    assert ("ch_1", "pay1", USD) == (paid.channel_txn_id, paid.merchant_ref, paid.amount)
    assert "charge ch_1: 500 of 1250 usd given back so far" == paid.note


def test_a_refunded_charge_was_paid_and_names_only_listed_refunds() -> None:
    """amount_refunded is a running sum; without a list of refunds the event says only that it had been paid."""
    (paid,) = evidence("charge.refunded", CHARGE)
    assert (PaymentSays.PAID, USD, "pi_1", None) == (paid.says, paid.amount, paid.channel_txn_id, paid.occurred_at)
    listed = {**CHARGE, "refunds": {"object": "list", "data": [REFUND], "has_more": False}}
    _, refund = evidence("charge.refunded", listed)
    assert ("evt_1:re_1", Money(500, "USD")) == (refund.key, refund.amount)


def test_a_list_that_is_older_than_the_news_that_a_refund_came_back_does_not_undo_it() -> None:
    """Stripe repeats an event for days, with the list as it was. The refund failed since, and the money is ours."""
    (failed,) = evidence("refund.failed", {**REFUND, "status": "failed", "created": NOW_S - 900})
    listed = {"object": "list", "data": [{**REFUND, "created": NOW_S - 900}], "has_more": False}
    _, succeeded = evidence("charge.refunded", {**CHARGE, "refunds": listed})
    refund = a_refund(channel="stripe", amount_minor=500, currency="USD", merchant_ref="ref1", channel_refund_id="re_1")
    came_back = decide(refund, failed).refund
    assert (RefundState.FAILED, came_back) == (came_back.state, decide(came_back, succeeded).refund)
    assert (RefundState.SUCCEEDED, NOW - timedelta(seconds=900)) == (
        decide(refund, succeeded).refund.state,
        decide(refund, succeeded).refund.settled_at,
    )


@pytest.mark.parametrize("status", ["failed", "canceled", "pending"])
def test_a_listed_refund_is_dated_only_by_its_success(status: str) -> None:
    """One that failed did so at any time since it was made, and its failure is no older news than its success."""
    listed = {"data": [{**REFUND, "status": status, "created": NOW_S - 900}], "has_more": False}
    _, refund = evidence("charge.refunded", {**CHARGE, "refunds": listed})
    assert (status, None) == (refund.note, refund.occurred_at)


@pytest.mark.parametrize("kind", ["refund.updated", "charge.refund.updated"])
def test_what_else_is_learned_of_a_refund_dates_it_no_later(kind: str) -> None:
    """The bank's number of it comes days after the money, and the bill has it on the day on which it left. A failure
    from between the two stands."""
    made = {**REFUND, "created": NOW_S - 900}
    (created,) = evidence("refund.created", made, created=NOW_S - 900)
    number = {"destination_details": {"card": {"reference_status": "pending"}}}
    data = {"object": made, "previous_attributes": number}
    (learned,) = evidence(kind, made, data=data)
    asked_for = a_refund(channel="stripe", amount_minor=500, currency="USD", merchant_ref="ref1")
    refund = decide(asked_for, created).refund
    assert (RefundState.SUCCEEDED, refund) == (refund.state, decide(refund, learned).refund)
    (failed,) = evidence("refund.failed", {**made, "status": "failed"}, created=NOW_S - 60)
    came_back = decide(refund, failed).refund
    assert (RefundState.FAILED, came_back) == (came_back.state, decide(came_back, learned).refund)
    for before in ({"status": "pending"}, {}, None):  # where the event does not say what changed, it may be this
        (arrived,) = evidence(kind, made, data=data | {"previous_attributes": before})
        assert NOW - timedelta(seconds=5) == arrived.occurred_at
    assert NOW - timedelta(seconds=5) == evidence(kind, made)[0].occurred_at


@pytest.mark.parametrize(
    ("listed", "has_more", "told"),
    [
        ([("re_2", 300), ("re_1", 250)], False, ["re_2"]),
        ([("re_2", 300), ("re_1", 200)], False, ["re_2", "re_1"]),
        ([("re_3", 300), ("re_2", 250)], True, ["re_3", "re_2"]),
        ([], False, []),
    ],
)
def test_what_was_never_captured_is_no_refund(listed: list[tuple[str, int]], has_more: bool, told: list[str]) -> None:
    """Of 12.50 authorised 10.00 were captured. The rest is listed as the first refund, and nobody got it."""
    refunds = [{**REFUND, "id": name, "amount": minor, "metadata": {}} for name, minor in listed]
    charge = {**CHARGE, "amount_captured": 1000, "refunds": {"data": refunds, "has_more": has_more}}
    paid, *given_back = evidence("charge.refunded", charge)
    assert (Money(1000, "USD"), told) == (paid.amount, [one.channel_refund_id for one in given_back])


def test_a_refund_of_ours_is_one_even_if_it_is_as_much_as_was_never_captured() -> None:
    """Of 12.50 authorised 10.00 were captured, and 2.50 of them given back under a number of ours."""
    refunds = {"data": [{**REFUND, "amount": 250}], "has_more": False}
    _, back = evidence("charge.refunded", {**CHARGE, "amount_captured": 1000, "refunds": refunds})
    assert ("ref1", Money(250, "USD")) == (back.merchant_refund_ref, back.amount)


def test_releasing_an_authorisation_is_no_payment() -> None:
    """A charge that was never captured is refunded on paper only."""
    assert () == evidence("charge.refunded", {**CHARGE, "captured": False})


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("created", "needs_response", DisputeSays.OPENED),
        ("funds_withdrawn", "needs_response", DisputeSays.OPENED),
        ("updated", "under_review", DisputeSays.OPENED),
        ("created", "warning_needs_response", DisputeSays.INQUIRED),
        ("updated", "warning_under_review", DisputeSays.INQUIRED),
        ("closed", "warning_closed", DisputeSays.WON),
        ("closed", "prevented", DisputeSays.WON),
        ("closed", "charge_refunded", DisputeSays.WON),
        ("closed", "won", DisputeSays.WON),
        ("funds_reinstated", "won", DisputeSays.WON),
        ("closed", "lost", DisputeSays.LOST),
    ],
)
def test_a_disputes_status_decides(kind: str, status: str, says: DisputeSays) -> None:
    """Money withdrawn for the time of a dispute is not yet lost."""
    (found,) = evidence(f"charge.dispute.{kind}", {**DISPUTE, "status": status})
    assert (says, "dp_1", "pi_1", USD) == (found.says, found.dispute_id, found.channel_txn_id, found.amount)


@pytest.mark.parametrize(
    "body",
    [
        event("customer.created", {"id": "cus_1"}),
        event("charge.succeeded", CHARGE),
        event("payment_intent.succeeded", {**INTENT, "status": "brand_new"}),
        event("refund.updated", {**REFUND, "status": None}),
        event("charge.dispute.updated", {**DISPUTE, "status": "brand_new"}),
        event("checkout.session.completed", {**SESSION, "mode": "subscription"}),
        json.dumps({"id": "evt_1", "object": "v2.core.event", "type": "refund.x", "livemode": False, "created": "T"}),
        json.dumps({"id": "evt_1", "type": "v1.x", "livemode": False, "created": "T", "data": {"error_count": 1}}),
        event("refund.created", REFUND, created="2026-11-23T08:00:00.000Z"),
        event("refund.created", REFUND, data=None),
    ],
)
def test_what_says_nothing_about_money_is_read_without_evidence(body) -> None:
    """Other kinds, states that Stripe may add, subscriptions and thin events are kept and change nothing."""
    reading = STRIPE.read_callback(callback(body if isinstance(body, bytes) else body.encode()), account(), NOW)
    assert ("evt_1", ()) == (reading.key, reading.evidence)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[" * 100_000,
        b'{"id":"evt_1","request":' + b"[" * 100_000,
        event("payment_intent.succeeded", INTENT).replace(b"usd", b"\xff"),
        event("payment_intent.succeeded", {**INTENT, "amount": -1}),
        event("payment_intent.succeeded", {**INTENT, "currency": "bitcoin"}),
        event("payment_intent.succeeded", {**INTENT, "id": None}),
        event("payment_intent.succeeded", INTENT, created=-5),
        event("payment_intent.succeeded", INTENT, data={}),
    ],
)
def test_a_signed_event_that_makes_no_sense_is_malformed(body: bytes) -> None:
    """It is kept until the parser is mended."""
    assert Verdict.MALFORMED == verdict(callback(body))


def test_live_money_is_not_test_money() -> None:
    """The mode, and the connected account, are the receiver."""
    assert "live" == evidence("payment_intent.succeeded", INTENT, livemode=True)[0].payee
    assert "test/acct_9" == evidence("payment_intent.succeeded", INTENT, account="acct_9")[0].payee


def test_the_replies_are_plain() -> None:
    """Any 2xx stops the repeats; a refusal tells the dashboard why."""
    assert 200 == STRIPE.accepted().status
    refused = STRIPE.refused(CallbackRefused(Verdict.EXPIRED, "old"))
    assert (400, b'{"refused":"expired"}') == (refused.status, refused.body)


# Requests and answers ---------------------------------------------------------------------------------------------


def test_an_intent_is_opened_under_its_own_number() -> None:
    """The number is the Idempotency-Key and travels as metadata; the customer pays with the client secret."""
    exchange = STRIPE.open(to_open(), account(), NOW)
    request = exchange.request
    assert ("POST", "/v1/payment_intents") == (request.method, request.target)
    assert ("pay1", "Bearer sk_test_4eC39Hq") == (
        sent_header(request, "idempotency-key"),
        sent_header(request, "authorization"),
    )
    sent = parameters(request)
    assert ("1250", "usd", "pay1") == (sent["amount"], sent["currency"], sent["metadata[paidup_payment]"])
    opened = exchange.read(answer({**INTENT, "status": "requires_payment_method"}), NOW)
    assert ({"client_secret": "pi_1_secret_x"}, "pi_1") == (opened.pay_with, opened.channel_txn_id)
    assert [PaymentSays.WAITING] == [it.says for it in opened.evidence]


def test_a_checkout_page_is_opened_with_the_number_on_page_and_intent() -> None:
    """Both the page's and the intent's events must name our payment."""
    exchange = STRIPE.open(to_open("checkout", return_url="https://shop.example/thanks"), account(), NOW)
    sent = parameters(exchange.request)
    numbers = (
        sent["client_reference_id"],
        sent["metadata[paidup_payment]"],
        sent["payment_intent_data[metadata][paidup_payment]"],
    )
    assert ("pay1", "pay1", "pay1") == numbers
    page = {**SESSION, "status": "open", "payment_status": "unpaid", "payment_intent": None, "url": "https://c/1"}
    opened = exchange.read(answer(page), NOW)
    assert ({"url": "https://c/1"}, "cs_1") == (opened.pay_with, opened.channel_txn_id)


def test_an_opening_is_the_same_whenever_it_is_sent() -> None:
    """Repeated later under its key, it must not differ in a byte: Stripe would refuse it."""
    later = NOW + timedelta(minutes=20)
    for method in STRIPE.methods:
        payment = to_open(method, return_url="https://shop.example/thanks")
        first, again = STRIPE.open(payment, account(), NOW), STRIPE.open(payment, account(), later)
        assert first.request == again.request


@pytest.mark.parametrize(
    "payment", [to_open("card"), to_open("checkout"), to_open(money=Money(0, "USD")), to_open(money=Money(5, "KWD"))]
)
def test_what_stripe_cannot_take_is_refused_before_sending(payment) -> None:
    """Another method, a page without a way back, nothing, or thousandths that Stripe does not know."""
    with pytest.raises(InvalidRequest):
        STRIPE.open(payment, account(), NOW)


def test_a_connected_account_is_named_in_every_request() -> None:
    """And it is the receiver."""
    connected = STRIPE.parse_account("main", {**TABLE, "connect_account": "acct_9"}, FILES)
    request = STRIPE.query(name_of(), connected, NOW).request
    assert ("acct_9", "test/acct_9") == (sent_header(request, "stripe-account"), connected.payee)


def test_a_payment_is_asked_for_by_the_id_we_have() -> None:
    """The intent's id, the page's id, or, with neither, the opening once more under its key."""
    requests = [STRIPE.query(name_of(txn_id), account(), NOW).request for txn_id in ("pi_1", "cs_1", None)]
    assert [
        ("GET", "/v1/payment_intents/pi_1"),
        ("GET", "/v1/checkout/sessions/cs_1"),
        ("POST", "/v1/payment_intents"),
    ] == [(request.method, request.target) for request in requests]
    reopen = name_of(None).reopen
    assert STRIPE.open(reopen, account(), NOW).request == requests[2]


def test_a_query_brings_evidence_and_the_id_to_ask_by_next() -> None:
    """A completed page gives way to its intent."""
    asked = STRIPE.query(name_of("cs_1", "checkout"), account(), NOW)
    outcome = asked.read(answer({**SESSION, "payment_status": "unpaid"}), NOW)
    (found,) = outcome.evidence
    assert ("pi_1", PaymentSays.WAITING, "query:pay1:complete") == (outcome.channel_txn_id, found.says, found.key)


@pytest.mark.parametrize(
    ("page", "intent_status", "says", "txn_id"),
    [
        ({"status": "open", "payment_status": "unpaid"}, "requires_payment_method", PaymentSays.WAITING, "cs_1"),
        ({"payment_status": "unpaid"}, "processing", PaymentSays.WAITING, "pi_1"),
        ({"payment_status": "unpaid"}, "requires_action", PaymentSays.WAITING, "pi_1"),
        ({"payment_status": "unpaid"}, "requires_payment_method", PaymentSays.CLOSED, "pi_1"),
        ({"payment_status": "unpaid"}, "canceled", PaymentSays.CLOSED, "pi_1"),
        ({"status": "expired", "payment_status": "unpaid"}, "canceled", PaymentSays.CLOSED, "pi_1"),
        ({}, "succeeded", PaymentSays.PAID, "pi_1"),
    ],
)
def test_a_page_of_which_the_intent_is_known_is_asked_for_itself(page, intent_status, says, txn_id) -> None:
    """Stripe cancels no intent of a page, so an open page's own id is the one to close by; and a completed page whose
    debit failed can be paid by nobody, other than one whose voucher or transfer the customer still owes."""
    asked = STRIPE.query(name_of("pi_1", "checkout"), account(), NOW)
    target = "/v1/checkout/sessions?payment_intent=pi_1&limit=1&expand%5B%5D=data.payment_intent"
    assert ("GET", target) == (asked.request.method, asked.request.target)
    shown = {**SESSION, **page, "payment_intent": {**INTENT, "status": intent_status}}
    outcome = asked.read(answer({"object": "list", "has_more": False, "data": [shown]}), NOW)
    assert [(says, txn_id)] == [(it.says, it.channel_txn_id) for it in outcome.evidence]
    assert isinstance(asked.read(answer({"object": "list", "has_more": False, "data": []}), NOW), Declined)


def test_an_id_that_stripe_does_not_know_is_not_found() -> None:
    """404 resource_missing is an answer, other 404s are not."""
    asked = STRIPE.query(name_of(), account(), NOW)
    (found,) = asked.read(error(404, code="resource_missing"), NOW).evidence
    assert PaymentSays.NOT_FOUND == found.says
    assert isinstance(asked.read(error(404, code="url_invalid"), NOW), Retryable)


@pytest.mark.parametrize(
    "response",
    [
        answer({**INTENT, "metadata": {"paidup_payment": "pay2"}}),
        answer({"object": "payment_intent"}),
        Response(200, (), b"<html>"),
        Response(502, (), b"<html>"),
        Response(200, (), b"[" * 100_000),
        Response(500, (), b"\xff"),
    ],
)
def test_an_answer_that_cannot_be_read_is_unknown(response: Response) -> None:
    """Other payments, half objects, and rubbish."""
    assert isinstance(STRIPE.query(name_of(), account(), NOW).read(response, NOW), Unknown)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (error(402, code="card_declined", type="card_error"), Declined),
        (error(400, code="amount_too_small"), Declined),
        (error(409, code="idempotency_key_in_use"), Retryable),
        (error(429, code="lock_timeout"), Retryable),
        (error(401), Retryable),
        (error(403), Retryable),
        (error(400, type="idempotency_error"), Unknown),
        (error(500, type="api_error"), Unknown),
    ],
)
def test_a_deed_that_failed_is_declined_only_when_stripe_is_sure(response: Response, kind: type) -> None:
    """Limits, locks and a wrong key did nothing; 5xx and a key used otherwise leave it open."""
    assert kind is type(STRIPE.open(to_open(), account(), NOW).read(response, NOW))


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500])
def test_a_question_that_failed_is_asked_again(status: int) -> None:
    """Nothing can have happened."""
    assert isinstance(STRIPE.query(name_of(), account(), NOW).read(error(status), NOW), Retryable)


def test_a_question_that_is_refused_for_its_own_sake_was_answered() -> None:
    """It counts as no failure of Stripe's, so that it keeps nobody else from paying."""
    assert isinstance(STRIPE.query(name_of(), account(), NOW).read(error(400), NOW), Declined)


@pytest.mark.parametrize("step", [STRIPE.query, STRIPE.close])
def test_a_payment_that_stripe_does_not_know_is_told_whole(step) -> None:
    """Whose it is, why and when: in this mode and account there is none of this id, which is not yet the end of it."""
    later = NOW + timedelta(seconds=2)
    expected = PaymentEvidence(
        road=Road.QUERY, channel="stripe", account="main", key="query:pay1:resource_missing", received_at=later,
        merchant_ref="pay1", note="resource_missing", says=PaymentSays.NOT_FOUND,
    )  # fmt: skip
    exchange = step(name_of(), account(), NOW)
    assert Success((expected,)) == exchange.read(error(404, code="resource_missing"), later)
    assert not isinstance(exchange.read(error(404, code="url_invalid"), later), Success)
    assert isinstance(exchange.read(error(400, code="resource_missing"), later), Declined)  # of a parameter


@pytest.mark.parametrize(("txn_id", "of"), [("pi_1", INTENT), ("cs_1", SESSION)])
def test_an_answer_says_whose_and_in_which_mode(txn_id: str, of) -> None:
    """Live money is live in answers, too; an answer about another payment's object proves nothing; and the number that
    was asked about wins over what stands at Stripe, or does not."""
    asked = STRIPE.query(name_of(txn_id), account(), NOW)
    assert ["live"] == [it.payee for it in asked.read(answer({**of, "livemode": True}), NOW).evidence]
    assert isinstance(asked.read(answer({**of, "metadata": {"paidup_payment": "pay2"}}), NOW), Unknown)
    bare = {**of, "metadata": {}} | ({"client_reference_id": "cart 7"} if "client_reference_id" in of else {})
    outcome = asked.read(answer(bare), NOW)
    assert ["pay1"] == [it.merchant_ref for it in outcome.evidence]
    assert "pi_1" == outcome.channel_txn_id


PAGES = {"data": [SESSION], "has_more": False}


@pytest.mark.parametrize(
    ("exchange", "response"),
    [
        (STRIPE.query(name_of(), account(), NOW), answer(INTENT)),
        (STRIPE.query(name_of("cs_1", "checkout"), account(), NOW), answer(SESSION)),
        (STRIPE.query(name_of("pi_1", "checkout"), account(), NOW), answer(PAGES)),
        (STRIPE.query(name_of(None), account(), NOW), answer(INTENT)),
        (STRIPE.close(name_of(), account(), NOW), answer({**INTENT, "status": "canceled"})),
        (STRIPE.close(name_of(), account(), NOW), error(400, payment_intent=INTENT)),
        (STRIPE.close(name_of("cs_1", "checkout"), account(), NOW), answer({**SESSION, "status": "expired"})),
        (STRIPE.close(name_of(None), account(), NOW), error(400, code="amount_too_small")),
    ],
)
def test_an_answer_is_dated_by_when_it_came(exchange: Exchange, response: Response) -> None:
    """It says how things are, not since when: neither when it was asked for counts, nor when the payment was made."""
    later = NOW + timedelta(seconds=2)
    outcome = exchange.read(response, later)
    assert isinstance(outcome, Success)
    assert [(Road.QUERY, "pay1", later, None)] == [
        (it.road, it.merchant_ref, it.received_at, it.occurred_at) for it in outcome.evidence
    ]


def test_a_payment_that_the_shop_opened_is_asked_for_by_the_id_it_registered() -> None:
    """The channel's own id before a number that looks like one; a page's id will do; and of its pages nothing is
    known."""
    asked = [
        STRIPE.query(
            msgspec.structs.replace(name_of(txn, "checkout"), merchant_ref=ref, registered=True), account(), NOW
        )
        for txn, ref in (("pi_2", "pi_1"), (None, "cs_9"), ("pi_2", "shop-1"))
    ]
    intent, page = "/v1/payment_intents/pi_2", "/v1/checkout/sessions/cs_9"
    assert [intent, page, intent] == [it.request.target for it in asked]


def test_a_refusal_that_carries_another_intent_says_nothing_of_ours() -> None:
    """It is a refusal to close, and no more; and one for another reason closes nothing."""
    other = error(400, code="payment_intent_unexpected_state", payment_intent={**INTENT, "id": "pi_2"})
    closing = STRIPE.close(name_of(), account(), NOW)
    assert isinstance(closing.read(other, NOW), Declined)
    assert isinstance(closing.read(error(429, payment_intent=INTENT), NOW), Retryable)


def test_closing_cancels_the_intent_or_expires_the_page() -> None:
    """Without an Idempotency-Key: Stripe would repeat a first refusal for a day."""
    intent, page = (STRIPE.close(name_of(txn_id), account(), NOW) for txn_id in ("pi_1", "cs_1"))
    assert "/v1/payment_intents/pi_1/cancel" == intent.request.target
    assert "/v1/checkout/sessions/cs_1/expire" == page.request.target
    assert [None, None] == [sent_header(it.request, "idempotency-key") for it in (intent, page)]
    closed = intent.read(answer({**INTENT, "status": "canceled"}), NOW)
    expired = page.read(answer({**SESSION, "status": "expired", "payment_intent": None}), NOW)
    assert [PaymentSays.CLOSED] * 2 == [it.evidence[0].says for it in (closed, expired)]


def test_a_paid_intent_refuses_to_be_closed_and_says_that_it_is_paid() -> None:
    """Stripe's refusal carries the intent as it stands."""
    refusal = error(400, code="payment_intent_unexpected_state", payment_intent=INTENT)
    (found,) = STRIPE.close(name_of(), account(), NOW).read(refusal, NOW).evidence
    assert (PaymentSays.PAID, USD) == (found.says, found.amount)


def test_a_completed_page_refuses_to_be_closed() -> None:
    """It is declined, and the query learns the intent."""
    assert isinstance(STRIPE.close(name_of("cs_1"), account(), NOW).read(error(400), NOW), Declined)


def test_a_payment_whose_id_was_lost_is_asked_for_before_it_is_closed() -> None:
    """The repeated opening tells the id; the next round closes it."""
    exchange = STRIPE.close(name_of(None), account(), NOW)
    outcome = exchange.read(answer({**INTENT, "status": "requires_payment_method"}), NOW)
    assert ("pay1", "pi_1") == (sent_header(exchange.request, "idempotency-key"), outcome.channel_txn_id)


def test_a_payment_that_stripe_declines_to_open_is_unknown_there_and_closed_at_once() -> None:
    """Nobody has anything to pay with. A limit, a wrong key or a 5xx decides nothing: it is asked about again."""
    asked, closing = STRIPE.query(name_of(None), account(), NOW), STRIPE.close(name_of(None), account(), NOW)
    (found,), (closed,) = (it.read(error(400, code="amount_too_small"), NOW).evidence for it in (asked, closing))
    assert (PaymentSays.NOT_FOUND, PaymentSays.CLOSED) == (found.says, closed.says)
    assert ("pay1", "amount_too_small", None) == (closed.merchant_ref, closed.note, closed.channel_txn_id)
    open_ended = [error(429), error(401), error(409), error(500), error(400, type="idempotency_error")]
    assert {Retryable} == {type(it.read(no, NOW)) for it in (asked, closing) for no in open_ended}


def test_a_refund_goes_out_under_its_own_number() -> None:
    """The number is the Idempotency-Key and travels as metadata."""
    exchange = STRIPE.refund(refund_of(), account(), NOW)
    assert ("POST", "/v1/refunds") == (exchange.request.method, exchange.request.target)
    assert {
        "payment_intent": "pi_1",
        "amount": "500",
        "metadata[paidup_refund]": "ref1",
        "metadata[paidup_payment]": "pay1",
        "metadata[paidup_reason]": "one ticket back",
    } == parameters(exchange.request)
    assert "ref1" == sent_header(exchange.request, "idempotency-key")
    (found,) = exchange.read(answer({**REFUND, "status": "pending"}), NOW).evidence
    assert (RefundSays.PENDING, "re_1", "query:ref1:pending") == (found.says, found.channel_refund_id, found.key)


def test_the_answer_about_a_refund_tells_all_of_it() -> None:
    """Under the number that was asked about, by the road of asking; the object says neither in which mode it is, nor
    when it became what it is now: it was made before."""
    later = NOW + timedelta(seconds=2)
    expected = RefundEvidence(
        road=Road.QUERY, channel="stripe", account="main", key="query:ref1:succeeded", received_at=later,
        merchant_ref="pay1", channel_txn_id="pi_1", amount=Money(500, "USD"), note="succeeded",
        says=RefundSays.SUCCEEDED, merchant_refund_ref="ref1", channel_refund_id="re_1",
    )  # fmt: skip
    asked = STRIPE.query_refund(refund_of("re_1"), account(), NOW)
    numbers = {"paidup_refund": "ref1", "paidup_payment": "cart 7"}
    found = answer({**REFUND, "metadata": numbers, "created": NOW_S - 900})
    assert Success((expected,), channel_txn_id="pi_1") == asked.read(found, later)
    assert isinstance(asked.read(answer({**REFUND, "metadata": {"paidup_refund": "ref2"}}), later), Unknown)


def test_a_refund_that_is_not_there_is_told_whole() -> None:
    """Of which payment, and why; another 404 is no answer."""
    later = NOW + timedelta(seconds=2)
    expected = RefundEvidence(
        road=Road.QUERY, channel="stripe", account="main", key="query:ref1:not_found", received_at=later,
        merchant_ref="pay1", channel_txn_id="pi_1", note="not among the payment's refunds", says=RefundSays.NOT_FOUND,
        merchant_refund_ref="ref1",
    )  # fmt: skip
    by_id = STRIPE.query_refund(refund_of("re_1"), account(), NOW)
    by_list = STRIPE.query_refund(refund_of(), account(), NOW)
    others = [{**REFUND, "id": "re_2", "metadata": {"paidup_refund": "ref2"}}]
    assert Success((expected,)) == by_id.read(error(404, code="resource_missing"), later)
    assert Success((expected,)) == by_list.read(answer({"data": others, "has_more": False}), later)
    assert isinstance(by_id.read(error(404, code="url_invalid"), later), Retryable)


@pytest.mark.parametrize(("txn_id", "name"), [("pi_1", "payment_intent"), ("ch_1", "charge"), ("py_1", "charge")])
def test_money_goes_back_from_what_took_it(txn_id: str, name: str) -> None:
    """From an intent, or from a charge, which for debits and wallets begins with py_."""
    assert txn_id == parameters(STRIPE.refund(refund_of(txn_id=txn_id), account(), NOW).request)[name]


@pytest.mark.parametrize("refund_id", ["re_1", None])
@pytest.mark.parametrize("status", [401, 403, 409, 429, 500])
def test_a_question_about_a_refund_that_failed_is_asked_again(status: int, refund_id: str | None) -> None:
    """By its id as well as by the list: asking moves no money, so that nothing is in doubt."""
    asked = STRIPE.query_refund(refund_of(refund_id), account(), NOW)
    assert isinstance(asked.read(error(status), NOW), Retryable)


@pytest.mark.parametrize(
    ("reason", "sent"),
    [("x" * 500, "x" * 500), ("x" * 501, "x" * 500), (f" {'x' * 500}", "x" * 500), (" \t", None), ("", None)],
)
def test_a_reason_fits_into_metadata(reason: str, sent: str | None) -> None:
    """500 characters and not one more; spaces around it do not count, and an empty one is none."""
    request = STRIPE.refund(msgspec.structs.replace(refund_of(), reason=reason), account(), NOW).request
    assert sent == parameters(request).get("metadata[paidup_reason]")
    assert (sent is not None) == (b"paidup_reason" in request.body)


def test_a_card_that_is_declined_is_told_by_the_banks_word() -> None:
    """insufficient_funds says more than card_declined."""
    no = error(402, code="card_declined", type="card_error", decline_code="insufficient_funds")
    assert "insufficient_funds" == STRIPE.open(to_open(), account(), NOW).read(no, NOW).code


@pytest.mark.parametrize("txn_id", ["cs_1", None])
def test_a_payment_without_an_intent_cannot_be_refunded(txn_id: str | None) -> None:
    """A page's id is not enough, and an id that was lost is none; the message says to query first."""
    with pytest.raises(InvalidRequest, match="query it first"):
        STRIPE.refund(refund_of(txn_id=txn_id), account(), NOW)


def test_a_refund_is_asked_for_by_id_or_among_the_payments_refunds() -> None:
    """Never by sending it again: once Stripe forgot the key, that would pay twice."""
    by_id = STRIPE.query_refund(refund_of("re_1"), account(), NOW)
    by_list = STRIPE.query_refund(refund_of(), account(), NOW)
    assert "/v1/refunds/re_1" == by_id.request.target
    assert ("GET", "/v1/refunds?payment_intent=pi_1&limit=100") == (by_list.request.method, by_list.request.target)
    other = {**REFUND, "id": "re_0", "metadata": {}}
    listed = by_list.read(answer({"data": [other, REFUND], "has_more": False}), NOW)
    direct = by_id.read(answer(REFUND), NOW)
    assert direct == listed
    assert RefundSays.SUCCEEDED == listed.evidence[0].says


def test_a_refund_that_is_not_there_is_not_found_unless_the_list_goes_on() -> None:
    """A list cut off at a hundred proves nothing."""
    by_list = STRIPE.query_refund(refund_of(), account(), NOW)
    by_id = STRIPE.query_refund(refund_of("re_1"), account(), NOW)
    for outcome in (
        by_list.read(answer({"data": [], "has_more": False}), NOW),
        by_id.read(error(404, code="resource_missing"), NOW),
    ):
        assert [RefundSays.NOT_FOUND] == [it.says for it in outcome.evidence]
    assert isinstance(by_list.read(answer({"data": [], "has_more": True}), NOW), Unknown)


# Amounts and accounts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        (USD, 1250),
        (Money(500, "JPY"), 500),
        (Money(5, "ISK"), 500),
        (Money(5, "UGX"), 500),
        (Money(500, "MGA"), 5),
        (Money(5120, "KWD"), 5120),
    ],
)
def test_amounts_are_counted_as_stripe_counts(money: Money, amount: int) -> None:
    """There and back: most currencies in minor units, three of them otherwise."""
    assert (amount, money) == (to_stripe(money), from_stripe(amount, money.currency.lower()))


def test_what_is_sent_is_counted_as_stripe_counts() -> None:
    """A refund of 5 crowns of Iceland sent as 5 would give back a hundredth; so would an opening ask for it."""
    crowns = Money(5, "ISK")
    refund = msgspec.structs.replace(refund_of(), money=crowns)
    pages = to_open("checkout", money=crowns, return_url="https://shop.example/thanks")
    sent = [
        parameters(STRIPE.refund(refund, account(), NOW).request)["amount"],
        parameters(STRIPE.open(to_open(money=crowns), account(), NOW).request)["amount"],
        parameters(STRIPE.open(pages, account(), NOW).request)["line_items[0][price_data][unit_amount]"],
    ]
    assert ["500"] * 3 == sent


@pytest.mark.parametrize("money", [Money(5121, "KWD"), Money(501, "MGA")])
def test_an_amount_finer_than_stripes_is_refused(money: Money) -> None:
    """Rather than rounded."""
    with pytest.raises(InvalidRequest, match="steps of"):
        to_stripe(money)


def test_half_a_krona_cannot_have_been_paid() -> None:
    """An amount that the currency cannot hold is an error, not a rounding."""
    with pytest.raises(InvalidRequest):
        from_stripe(550, "isk")


def test_secrets_are_shown_by_fingerprint_only() -> None:
    """Neither the keys' list nor the account's repr holds a secret."""
    shown = repr(account()) + repr(STRIPE.keys(account()))
    assert (False, False) == ("4eC39Hq" in shown, SECRET in shown)
    assert ["sign requests", "verify callbacks"] == [it.use for it in STRIPE.keys(account())]


@pytest.mark.parametrize(
    ("table", "files", "words"),
    [
        ({"secret": "x"}, {}, "unknown name 'secret'; did you mean 'secret_key'"),
        ({"livemode": "yes"}, {}, "livemode must be true or false"),
        ({"livemode": True}, {}, "livemode is true, but 'secret.key' holds a test key"),
        ({}, {"secret.key": b"rk_live_1"}, "livemode is false, but 'secret.key' holds a live key"),
        ({}, {"secret.key": b"two words"}, "must be one secret on one line"),
        ({"webhook_secrets": []}, {}, "webhook_secrets must be a list"),
        ({"webhook_secrets": [1]}, {}, "webhook_secrets must hold only texts"),
        ({"webhook_secrets": ["web.secret"]}, {}, "did you mean 'webhook.secret'"),
    ],
)
def test_a_wrong_account_names_the_mend(table, files, words: str) -> None:
    """Every mistake in the file or its secrets is named, with what would do."""
    with pytest.raises(ConfigError, match=words):
        STRIPE.parse_account("main", {**TABLE, **table}, {**FILES, **files})


def test_a_payment_that_the_shop_opened_goes_by_the_intents_id() -> None:
    """It carries no number of ours. Asking never opens a second one."""
    (found,) = evidence("payment_intent.succeeded", {**INTENT, "metadata": {}})
    assert ("pi_1", "pi_1") == (found.merchant_ref, found.channel_txn_id)
    registered = msgspec.structs.replace(name_of(None), merchant_ref="pi_1")
    assert "/v1/payment_intents/pi_1" == STRIPE.query(registered, account(), NOW).request.target


@pytest.mark.parametrize("step", [STRIPE.query, STRIPE.close])
def test_a_payment_that_the_shop_opened_under_another_number_is_not_opened_again(step) -> None:
    """Nobody knows its id, and an opening of ours would be a second payment beside the shop's."""
    registered = msgspec.structs.replace(name_of(None), merchant_ref="shop-4711", registered=True)
    with pytest.raises(InvalidRequest, match="pi_…"):
        step(registered, account(), NOW)


def test_an_event_time_is_utc() -> None:
    """Stripe's seconds become an aware moment."""
    (found,) = evidence("payment_intent.succeeded", INTENT, created=1533204620)
    assert datetime(2018, 8, 2, 10, 10, 20, tzinfo=UTC) == found.occurred_at


def test_success_is_a_success() -> None:
    """A query of a paid intent is a Success whose evidence says PAID."""
    outcome = STRIPE.query(name_of(), account(), NOW).read(answer(INTENT), NOW)
    assert isinstance(outcome, Success)
    assert (PaymentSays.PAID, "test") == (outcome.evidence[0].says, outcome.evidence[0].payee)
