"""The API over real HTTP, on a real database, with the sandbox as the channels."""

from typing import Any

from api_side import ORDER, Api
from paidup.repair import worker as repair
from paidup.shops.store import Scope

OPEN = {"channel": "wechat"}


async def test_an_order_is_paid_and_the_buyers_page_finds_out_by_asking(api: Api) -> None:
    """No callback ever comes: the status page asks the channel at once, and the order is paid."""
    payment = await api.an_open_payment()
    assert ("open", True) == (payment["state"], payment["pay_with"]["code_url"].startswith("weixin://"))
    await api.buyer_pays(payment)
    _, status = await api.call("GET", f"/v1/payments/{payment['id']}/status")
    assert (True, True, "paid") == (status["asked"], status["paid"], status["state"])
    _, order = await api.call("GET", f"/v1/orders/{payment['order_id']}")
    assert ("paid", payment["id"]) == (order["state"], order["paid_by"])


async def test_the_buyers_page_asks_at_most_every_three_seconds(api: Api) -> None:
    """A page that polls does not use up the account's budget."""
    payment = await api.an_open_payment()
    asked = [(await api.call("GET", f"/v1/payments/{payment['id']}/status"))[1]["asked"] for _ in range(3)]
    assert [True, False, False] == asked


async def test_a_refund_is_asked_for_once_per_key_and_sent_by_the_worker(api: Api) -> None:
    """The same key is the same refund; the worker sends it, and the order is refunded."""
    payment = await api.an_open_payment()
    await api.buyer_pays(payment)
    await api.call("GET", f"/v1/payments/{payment['id']}/status")
    path = f"/v1/payments/{payment['id']}/refunds"
    first = await api.call("POST", path, {"reason": "broken"}, once="r1")
    assert (first, 201, "requested") == (
        await api.call("POST", path, {"reason": "broken"}, once="r1"), first[0], first[1]["state"],
    )  # fmt: skip
    for _ in range(3):
        await round_of_repair(api)
    _, refund = await api.call("GET", f"/v1/refunds/{first[1]['id']}")
    _, again = await api.call("POST", path, {"amount_minor": 1}, once="r2")
    assert ("pending", True) == (refund["state"], "left to refund" in again["detail"])


async def round_of_repair(api: Api) -> None:
    await repair.run_once(
        api.paidup.db,
        now=api.paidup.clock.now(),
        limit=10,
        asker=api.paidup.asker,
        handlers=api.paidup.handlers,
        budget_per_s=100,
        lease=repair.timedelta(seconds=30),
    )


async def test_the_same_key_opens_one_payment(api: Api) -> None:
    """Repeating an opening under its key gives the first answer; another body under that key is a conflict."""
    order_id = await api.an_order()
    path = f"/v1/orders/{order_id}/payments"
    first, second = [await api.call("POST", path, OPEN, once="k") for _ in range(2)]
    other = await api.call("POST", path, {"channel": "alipay"}, once="k")
    assert (first, 409, "urn:paidup:problem:conflict") == (second, other[0], other[1]["type"])


async def test_moving_money_needs_a_key(api: Api) -> None:
    """Without an Idempotency-Key the request is refused, with what to do."""
    order_id = await api.an_order()
    status, problem = await api.call("POST", f"/v1/orders/{order_id}/payments", OPEN)
    assert (422, True) == (status, problem["detail"].startswith("send an Idempotency-Key header"))


async def test_an_order_is_placed_once(api: Api) -> None:
    """The shop's number names the order: again gives the same, over other money it is a conflict."""
    first, second = [await api.call("POST", "/v1/orders", ORDER) for _ in range(2)]
    status, _ = await api.call("POST", "/v1/orders", ORDER | {"amount_minor": 1})
    assert (201, first, 409) == (first[0], second, status)


async def test_one_call_guards_a_payment_that_the_shop_opened_itself(api: Api) -> None:
    """Register makes the order and the payment; again gives the same payment; for another order it is a conflict."""
    body = ORDER | {"channel": "wechat", "merchant_ref": "SHOP-77"}
    first, second = [await api.call("POST", "/v1/payments/register", body) for _ in range(2)]
    other, _ = await api.call("POST", "/v1/payments/register", body | {"shop_order_no": "A-2"})
    assert (201, True, "open", first[1]["id"], 409) == (
        first[0], first[1]["registered"], first[1]["state"], second[1]["id"], other,
    )  # fmt: skip


async def test_a_closed_order_takes_no_new_payment(api: Api) -> None:
    """An order without payments closes at once; then it cannot be offered."""
    order_id = await api.an_order()
    _, closed = await api.call("POST", f"/v1/orders/{order_id}/close", {}, once="close")
    status, problem = await api.call("POST", f"/v1/orders/{order_id}/payments", OPEN, once="late")
    assert ("closed", 409, True) == (closed["state"], status, "is closed" in problem["detail"])


async def test_a_payment_that_is_given_up_while_it_is_opened_is_not_for_the_customer(api: Api) -> None:
    """The channel takes the opening, and the caller hears a conflict: nobody shows a code that is being closed."""
    order_id, send = await api.an_order(), api.paidup.asker.send

    async def overtaken(*call: Any) -> Any:
        await api.close_order(order_id, seconds_ago=0)
        return await send(*call)

    api.paidup.asker.send = overtaken  # type: ignore[method-assign]
    status, problem = await api.call("POST", f"/v1/orders/{order_id}/payments", OPEN, once="late")
    assert (409, True) == (status, "was given up while it was opened" in problem["detail"])


async def test_a_person_testifies_and_the_same_door_weighs_it(api: Api) -> None:
    """The channel is asked first and knows nothing of it: a second person agrees, and then the payment is paid. What
    the channel says itself needs nobody."""
    payment, other = await api.an_open_payment(), await api.an_open_payment("A-2")
    word = {"payment_id": payment["id"], "channel_txn_id": "4200001", "currency": "CNY", "reason": "seen in console"}
    status, asked = await api.call("POST", "/v1/evidence", word | {"amount_minor": 1250}, once="e1")
    assert (200, "open", "the channel itself says that nobody has paid: a second person must agree") == (
        status, asked["state"], asked["says"],
    )  # fmt: skip
    status, agreed = await api.second_agrees(asked)
    assert (200, "done") == (status, agreed["state"])
    assert "paid" == (await api.call("GET", f"/v1/payments/{payment['id']}"))[1]["state"]
    await api.buyer_pays(other)
    _, known = await api.call("POST", f"/v1/payments/{other['id']}/query")
    word |= {"payment_id": other["id"], "amount_minor": 1250, "channel_txn_id": known["channel_txn_id"]}
    _, paid = await api.call("POST", "/v1/evidence", word, once="e2")
    assert ("paid", None) == (paid["state"], paid["approval_id"])


async def test_other_money_than_agreed_is_a_case_whoever_says_so(api: Api) -> None:
    """Two people say that less came: the payment is held, and somebody decides."""
    payment = await api.an_open_payment()
    word = {"payment_id": payment["id"], "channel_txn_id": "4200001", "currency": "CNY", "reason": "seen in console"}
    _, asked = await api.call("POST", "/v1/evidence", word | {"amount_minor": 900}, once="e1")
    await api.second_agrees(asked)
    _, found = await api.call("GET", "/v1/cases")
    assert ["mismatch"] == [case["kind"] for case in found["items"]]


async def test_events_are_paged_by_a_cursor(api: Api) -> None:
    """Page by page, every event comes exactly once, oldest first; at the end the cursor stays where it is."""
    order_ids = [await api.an_order(f"E-{n}") for n in range(3)]
    for n, order_id in enumerate(order_ids):
        await api.close_order(order_id, seconds_ago=60 - n)
    seen, cursors = [], [""]
    for _ in range(5):
        _, page = await api.call("GET", f"/v1/events?limit=1&after={cursors[-1]}")
        seen += [event["order_id"] for event in page["items"]]
        cursors.append(page["next"])
    assert (order_ids, 1) == (seen, len(set(cursors[3:])))


async def test_an_event_appears_in_the_feed_when_no_earlier_one_can_come(api: Api) -> None:
    """One that has just happened is held back: a slower transaction may still commit one that is dated before it."""
    before, now = await api.an_order("E-1"), await api.an_order("E-2")
    await api.close_order(before, seconds_ago=31)
    await api.close_order(now, seconds_ago=0)
    _, page = await api.call("GET", "/v1/events")
    assert [before] == [event["order_id"] for event in page["items"]]


async def test_the_trace_tells_the_whole_life(api: Api) -> None:
    """By the shop's number: the verdict and every step; an unknown id is a 404."""
    payment = await api.an_open_payment()
    await api.buyer_pays(payment)
    await api.call("GET", f"/v1/payments/{payment['id']}/status")
    _, life = await api.call("GET", "/v1/trace/A-1")
    status, _ = await api.call("GET", "/v1/trace/nobody")
    kinds = [moment["kind"] for moment in life["moments"]]
    assert (["order", "payment", "open", "decision", "query", "decision", "event", "event"], 404) == (kinds, status)


async def test_the_trace_does_not_say_who_paid(api: Api) -> None:
    """Whoever may only read sees that an openid was given, and not which; nor what the customer's device pays with."""
    openid = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
    body = {"channel": "wechat", "method": "jsapi", "extra": {"openid": openid}}
    order_id = await api.an_order("T-1")
    status, payment = await api.call("POST", f"/v1/orders/{order_id}/payments", body, once="o")
    assert (201, True) == (status, bool(payment["pay_with"])), payment
    _, life = await api.call("GET", f"/v1/trace/{order_id}", key=await api.a_key(Scope.READ))
    (shown,) = life["payments"]
    assert ({"openid": "•••"}, {"•••"}) == (shown["extra"], set(shown["pay_with"].values()))
    assert openid not in str(life)


async def test_a_decision_is_found_by_its_id(api: Api) -> None:
    """`verify` names the decision that was edited, and says to trace it."""
    payment = await api.a_paid_payment("A-1")
    _, life = await api.call("GET", "/v1/trace/A-1")
    decision = next(moment for moment in life["moments"] if moment["id"].startswith("dec"))
    _, same = await api.call("GET", f"/v1/trace/{decision['id']}")
    assert payment["order_id"] == same["order"]["id"]


async def test_another_shop_sees_nothing(api: Api) -> None:
    """What belongs to one shop does not exist for another."""
    payment = await api.an_open_payment()
    other = await api.a_key(shop="other")
    paths = (f"/v1/orders/{payment['order_id']}", f"/v1/payments/{payment['id']}", "/v1/trace/A-1")
    assert [404, 404, 404] == [(await api.call("GET", path, key=other))[0] for path in paths]


async def test_a_key_does_only_what_its_scopes_allow(api: Api) -> None:
    """A reading key cannot write; an unknown key cannot read."""
    reader = await api.a_key(Scope.READ)
    wrote, _ = await api.call("POST", "/v1/orders", ORDER, key=reader)
    unknown, _ = await api.call("GET", "/v1/orders", key="pk_nobody")
    assert (403, 401) == (wrote, unknown)


RUBBISH: tuple[tuple[Any, int, str], ...] = (
    (b"{", 400, "truncated"),
    (ORDER | {"amount_minor": 12.5}, 422, "Expected `int`, got `float`"),
    (ORDER | {"amount_minor": "1250"}, 422, "Expected `int`, got `str`"),
    (ORDER | {"amount_minor": 0}, 422, "`int` >= 1 - at `$.amount_minor`"),
    (ORDER | {"currency": "RMB1"}, 422, "$.currency"),
    (ORDER | {"currency": "RMB"}, 422, "such as CNY (not RMB)"),
    (ORDER | {"currency": "cny"}, 422, "three capital letters of ISO 4217, such as CNY"),
    (ORDER | {"colour": "red"}, 422, "unknown field `colour`"),
    (ORDER | {"description": "x" * 70_000}, 413, "a body has at most 65536 bytes"),
)


async def test_rubbish_is_refused_with_what_is_wrong(api: Api) -> None:
    """Every refusal is problem details that name the field; never a traceback."""
    for body, status, says in RUBBISH:
        got, problem = await api.call("POST", "/v1/orders", body)
        assert (status, True) == (got, says in problem["detail"]), problem


async def test_lists_are_bounded(api: Api) -> None:
    """A limit outside 1 … 200 is refused; pages follow each other without gaps."""
    for number in range(3):
        await api.an_order(f"B-{number}")
    _, first = await api.call("GET", "/v1/orders?limit=2")
    _, rest = await api.call("GET", f"/v1/orders?limit=2&before={first['next']}")
    refused, _ = await api.call("GET", "/v1/orders?limit=5000")
    numbers = [order["shop_order_no"] for order in first["items"] + rest["items"]]
    assert (["B-0", "B-1", "B-2"], 422) == (sorted(numbers), refused)


async def test_endpoints_are_made_and_their_secret_is_shown_once(api: Api) -> None:
    """The secret comes with the making and never again."""
    _, made = await api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hear", "types": ["order.paid"]})
    _, listed = await api.call("GET", "/v1/endpoints")
    assert (True, [None]) == (made["secret"].startswith("whsec_"), [row["secret"] for row in listed["items"]])


async def test_health_says_alive_and_ready(api: Api) -> None:
    """Both without a key, for whoever watches the process."""
    for path, said in (("/healthz", "alive"), ("/readyz", "ready")):
        async with api.session.get(api.url + path) as answer:
            assert (200, True) == (answer.status, (await answer.json())[said])
