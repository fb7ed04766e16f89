"""One example of every body that the API takes or gives; the documents show them, and a test reads them back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from paidup.events import EventType
from paidup.orders.order import LatePayment, Order
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.payments.states import State as PaymentState
from paidup.settle.book import Verdict
from paidup.trace.life import Life
from paidup.trace.moments import Moment
from paidup.transactions.show import Shown, ShownLine, ShownStep, Summary
from paidup.transactions.table import Step, Table
from paidup.web import hand_shapes as hand
from paidup.web import look_examples, reconcile_examples, shapes, stock_shapes, told_shapes, transactions
from paidup.web.problem import Flaw, Problem

_AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
_ORDER_ID, _PAYMENT_ID = "ord001yjdp9w00n3v8k2m3q9x7c0d1", "pay001yjdp9xw05t2h8e4q6b1m9s3f"
_REFUND_ID, _EVENT_ID = "ref001yjdp9xw07c1k5w8a2z6g4r0p", "evt001yjdpag80j9d3y7v1x5b2n6t4"
_ENDPOINT_ID, _CASE_ID = "ept001yjdp8r04m7q2s9c6h1f8w3k5", "cas001yjdpbk02x6z4a8t1v5r9e3g7"
_NO, _TXN = "A-20261123-0001", "4200002511232026112316000001"

_ORDER = shapes.OrderOut(
    id=_ORDER_ID, shop_order_no=_NO, amount_minor=1250, currency="CNY", description="two teas", state="paid",
    paid_by=_PAYMENT_ID, created_at=_AT, expires_at=_AT + timedelta(hours=2),
    items=[shapes.ItemOut(sku="TEA-01", quantity=2, state="sold")], buyer_ref="•••711",
)  # fmt: skip
_SKU = stock_shapes.SkuOut(
    sku="TEA-01", name="green tea, 100 g", unlimited=False, preorder_limit=0, ships_at=None, low_at=10, left=37,
    available=37, reserved=3, sold=160, updated_at=_AT,
)  # fmt: skip
_MOVEMENT = stock_shapes.MovementOut(
    id=90210, at=_AT, kind="restock", quantity=200, order_id=None, reason="delivery note 4711", operator="API key key01"
)
_PAYMENT = shapes.PaymentOut(
    id=_PAYMENT_ID, order_id=_ORDER_ID, channel="wechat", account="main", method="native", merchant_ref=_PAYMENT_ID,
    channel_txn_id=None, amount_minor=1250, currency="CNY", state="open", refunded_minor=0, registered=False,
    pay_with={"code_url": "weixin://wxpay/bizpayurl?pr=example"}, created_at=_AT, expires_at=_AT + timedelta(hours=2),
    paid_at=None,
)  # fmt: skip
_EVENT = told_shapes.EventOut(
    id=_EVENT_ID, type=EventType.ORDER_PAID, order_id=_ORDER_ID, seq=2, subject_id=_ORDER_ID, created_at=_AT,
    data={"shop_order_no": _NO, "amount_minor": 1250, "currency": "CNY", "payment_id": _PAYMENT_ID},
)  # fmt: skip
_CASE = told_shapes.CaseOut(
    id=_CASE_ID, kind="mismatch", subject_id=_PAYMENT_ID, order_id=_ORDER_ID, why="paid, but not as agreed",
    opened_at=_AT, resolved_at=None, resolution=None,
)  # fmt: skip
_ENDPOINT = told_shapes.EndpointOut(
    id=_ENDPOINT_ID, url="https://shop.example/hooks/paidup", types=["order.paid"], enabled=True, disabled_why=""
)
_DELIVERY = told_shapes.DeliveryOut(
    id=4711, event_id=_EVENT_ID, type="order.paid", endpoint_id=_ENDPOINT_ID, order_id=_ORDER_ID, seq=2, state="dead",
    attempts=12, why="the receiver answered 500",
)  # fmt: skip
_APPROVAL = hand.ApprovalOut(
    id="apv001yjdpag80j9d3y7v1x5b2n6t4", asked_at=_AT, asked_by="carol", action="confirm", subject_id=_PAYMENT_ID,
    amount_minor=125000, currency="CNY", because="the amount is above the limit of one person", why="ticket 312",
    state="waiting", decided_at=None, decided_by=None,
)  # fmt: skip
_REFUSED = hand.RefusedOut(
    id="qua001yjdpag80j9d3y7v1x5b2n6t4", received_at=_AT, channel="wechat", account="main",
    verdict="invalid_signature", why="the signature does not fit", replayed_at=None, replay_note=None,
)  # fmt: skip
_DEED = hand.DeedOut(
    id="aud001yjdpag80j9d3y7v1x5b2n6t4", at=_AT, who="alice", via="console", action="payment.confirmed",
    shop="teahouse", subject_id=_PAYMENT_ID, order_id=_ORDER_ID, why="ticket 312", before="order unpaid, payment open",
    after="order paid, payment paid",
)  # fmt: skip
_LIFE = Life(
    verdict="Paid 12.50 CNY at 2026-11-23 08:00:20 UTC. The callback told us after 1 s. The shop was told.",
    diagnosis="paid",
    next_step="Nothing more is needed.",
    order=Order(
        id=_ORDER_ID, shop="teahouse", shop_order_no=_NO, amount_minor=1250, currency="CNY", description="two teas",
        state=OrderState.PAID, late_payment=LatePayment.REOPEN, paid_by=_PAYMENT_ID, event_seq=2, created_at=_AT,
        expires_at=_AT + timedelta(hours=2), updated_at=_AT + timedelta(seconds=21),
    ),
    payments=[
        Payment(
            id=_PAYMENT_ID, shop="teahouse", order_id=_ORDER_ID, channel="wechat", account="main", method="native",
            merchant_ref=_PAYMENT_ID, channel_txn_id=_TXN, payee="1900000001/wxd678efh567hg6787", amount_minor=1250,
            currency="CNY", state=PaymentState.PAID, created_at=_AT, expires_at=_AT + timedelta(hours=2),
            paid_at=_AT + timedelta(seconds=20), updated_at=_AT + timedelta(seconds=21),
        )
    ],
    refunds=[],
    moments=[Moment(_AT + timedelta(seconds=21), "event", "#2 order.paid", _ORDER_ID, _EVENT_ID)],
    next_at=None,
)  # fmt: skip

_XID = "txn001yjdp9w00c4m7q1z8r5t2v9k"
_TABLE = Table(
    name="checkout", kind="saga", within_s=7200,
    step=(
        Step(name="coupon", participant="coupons"), Step(name="points", participant="points", parallel=True),
        Step(name="payment", waits_for="order.paid"), Step(name="parcel", participant="shipping", timeout_s=10),
    ),
)  # fmt: skip
_SHOWN = Shown(
    id=_XID, order_id=_ORDER_ID, name="checkout", kind="saga", state="RUNNING",
    says=f"saga checkout about order {_ORDER_ID} is RUNNING; it waits for its order", why="begun", began_at=_AT,
    ended_at=None, ends_by=_AT + timedelta(days=1), next_at=_AT + timedelta(seconds=60), took_s=None,
    steps=[
        ShownStep(name="coupon", participant="coupons", state="done", tries=1, next_at=None, why="it did it: 200")
    ],
    record=[
        ShownLine(
            at=_AT, kind="call", step="coupon", what="action: success", why="200", who="", elapsed_ms=12
        )
    ],
)  # fmt: skip
_SUMMARY = Summary(
    id=_XID,
    order_id=_ORDER_ID,
    name="checkout",
    kind="saga",
    state="MANUAL",
    age_s=4711,
    next_at=None,
    ends_by=_AT + timedelta(days=1),
    why="it cannot be undone; a person decides",
)
_PARTICIPANT = transactions.ParticipantOut(name="coupons", url="https://coupons.example/paidup", created_at=_AT)

_ALL: tuple[msgspec.Struct, ...] = (
    transactions.BeginTransaction(table="checkout", data={"coupon": {"code": "TEA10"}, "points": {"spend": 50}}),
    transactions.PutParticipant(name="coupons", url="https://coupons.example/paidup"),
    transactions.Decide(reason="the coupon service is up again", who="lin"),
    transactions.Compensate(reason="the bank looked: it has no such payout", who="lin", not_done="payout"),
    transactions.Skip(step="parcel", reason="the label was printed by hand", who="lin"),
    _PARTICIPANT, transactions.Participants(items=[_PARTICIPANT]), _TABLE, transactions.Tables(items=[_TABLE]),
    _SHOWN, transactions.Transactions(items=[_SUMMARY]),
    shapes.PlaceOrder(shop_order_no=_NO, amount_minor=1250, currency="CNY", description="two teas", expires_in_s=7200,
        buyer_ref="customer-004711", items=(shapes.ItemIn(sku="TEA-01", quantity=2),),
    ),
    stock_shapes.PutSku(name="green tea, 100 g", low_at=10),
    stock_shapes.Restock(quantity=200, reason="delivery note 4711"),
    stock_shapes.Adjust(by=-1, reason="one was broken"),
    _SKU,
    stock_shapes.Skus(items=[_SKU]),
    stock_shapes.Movements(items=[_MOVEMENT]),
    shapes.OpenPayment(channel="wechat", account="main", method="jsapi", extra={"openid": "oUpF8uMuAJO_M2pxb1Q9z"}),
    shapes.RegisterPayment(channel="wechat", merchant_ref="20261123080001"),
    shapes.RegisterOrderPayment(
        channel="stripe", merchant_ref="pi_3MtwBwLkdIwHu7ix28a", shop_order_no=_NO, amount_minor=1250, currency="USD"
    ),
    shapes.CloseOrder(reason="the customer changed his mind"),
    shapes.AskRefund(amount_minor=500, reason="one tea was cold"),
    told_shapes.Resolve(resolution="the customer got the difference back in cash"),
    shapes.Release(decision=Verdict.GIVE_BACK, reason="the customer paid the old price; he orders anew"),
    shapes.Testify(
        payment_id=_PAYMENT_ID, channel_txn_id=_TXN, amount_minor=1250, currency="CNY",
        reason="seen as paid in the merchant console, ticket 312",
    ),
    told_shapes.AddEndpoint(url="https://shop.example/hooks/paidup", types=("order.paid", "refund.succeeded")),
    told_shapes.Redrive(endpoint_id=_ENDPOINT_ID),
    _ORDER,
    shapes.BuyerOut(order_id=_ORDER_ID, buyer_ref="customer-004711"),
    _PAYMENT,
    shapes.TestifiedOut(**msgspec.structs.asdict(_PAYMENT), says="the amount is above the limit of one person",
        approval_id="apv001yjdpag80j9d3y7v1x5b2n6t4",
    ),
    shapes.StatusOut(
        payment_id=_PAYMENT_ID, state="open", paid=False, asked=True, next_question_at=_AT + timedelta(seconds=30)
    ),
    shapes.RefundOut(
        id=_REFUND_ID, payment_id=_PAYMENT_ID, order_id=_ORDER_ID, amount_minor=500, currency="CNY", state="requested",
        cause="requested", reason="one tea was cold", created_at=_AT, settled_at=None,
    ),
    shapes.Orders(items=[_ORDER], next=_ORDER_ID),
    told_shapes.Events(items=[_EVENT], next=f"2026-11-23T08:00:00.000000Z_{_EVENT_ID}"),
    _CASE,
    told_shapes.Cases(items=[_CASE]),
    _ENDPOINT,
    told_shapes.Endpoints(items=[_ENDPOINT]),
    told_shapes.Deliveries(items=[_DELIVERY]),
    told_shapes.Redriven(deliveries=3),
    hand.ConfirmPayment(channel_txn_id=_TXN, reason="seen as paid in the merchant console, ticket 312"),
    hand.Because(reason="ticket 312"),
    hand.RefundByHand(amount_minor=500, reason="one tea was cold, ticket 312"),
    hand.CheckOut(ready=True, items=[hand.FindingOut(state="ok", says="Callbacks go to https://pay.example/…")]),
    hand.DoneOut(state="done", says="the channel says it is paid; the order is paid"),
    hand.Approvals(items=[_APPROVAL]),
    hand.Found(order_ids=[_ORDER_ID]),
    hand.CallbackOut(
        id="cbk001yjdpag80j9d3y7v1x5b2n6t4", received_at=_AT, channel="wechat", account="main",
        kind="TRANSACTION.SUCCESS", headers=[("wechatpay-serial", "7132D72A03E93CDDF8C03BBD1F37EEDF")], body="{}",
    ),
    hand.Quarantine(items=[_REFUSED]),
    hand.Deeds(items=[_DEED]),
    _LIFE,
    Problem(
        "urn:paidup:problem:invalid-request", "The request makes no sense as it is", 422,
        "Expected `int`, got `float` - at `$.amount_minor`: amounts are whole numbers of the minor unit",
        (Flaw("#/amount_minor", "Expected `int`, got `float`"),),
    ),
)  # fmt: skip
EXAMPLES: dict[type[msgspec.Struct], msgspec.Struct] = {
    type(one): one for one in (*_ALL, *reconcile_examples.ALL, *look_examples.ALL)
}


def example_of(shape: type[msgspec.Struct]) -> Any:
    """What a body of this shape looks like, as plain JSON values; what was not asked for is left out of requests."""
    plain = msgspec.to_builtins(EXAMPLES[shape])
    if not shape.__struct_config__.forbid_unknown_fields:
        return plain
    defaults = msgspec.to_builtins(
        {f.name: f.default for f in msgspec.structs.fields(shape) if f.default is not msgspec.NODEFAULT}
    )
    return {name: value for name, value in plain.items() if name not in defaults or value != defaults[name]}
