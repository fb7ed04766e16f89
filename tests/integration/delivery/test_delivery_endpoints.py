"""Claims about endpoints: their secrets, their types, their end."""

import pytest
from delivery_side import (
    NOW,
    SHOP,
    Got,
    Receiver,
    after,
    an_endpoint,
    an_event,
    answering,
    claimed_at,
    delivered,
    fanned_out,
    happened,
    states,
    until_idle,
)
from standardwebhooks.webhooks import Webhook

from paidup.db.transaction import Database
from paidup.delivery import endpoints, shown, store
from paidup.delivery.claimed import Settled
from paidup.delivery.courier import Courier
from paidup.delivery.endpoints import Endpoint
from paidup.delivery.plan import Answer, Plan, Step
from paidup.errors import Conflict, InvalidRequest, NotFound


async def test_a_secret_is_shown_once_and_never_in_repr(db: Database):
    """Creating and rotating give the new secret; nothing else does."""
    endpoint = await an_endpoint(db, "https://shop.example.com/hook")
    async with db.transaction() as tx:
        listed = await endpoints.list_endpoints(tx, SHOP)
        rotated = await endpoints.rotate_secret(tx, SHOP, endpoint.id)
        secrets = await endpoints.secrets_of(tx, SHOP, endpoint.id)
    assert [None] == [each.secret for each in listed]
    assert (rotated.secret, endpoint.secret) == secrets
    assert [] == [secret for secret in secrets if secret[6:] in repr((endpoint, rotated, listed))]


async def test_an_old_secret_signs_until_it_is_retired(db: Database, receiver: Receiver, courier: Courier):
    """During a rotation the receiver may hold either secret; afterwards the new one only."""
    old = await an_endpoint(db, receiver.url)
    async with db.transaction() as tx:
        new = await endpoints.rotate_secret(tx, SHOP, old.id)
    await happened(db, an_event())
    await until_idle(db, courier, NOW)
    async with db.transaction() as tx:
        await endpoints.retire_secrets(tx, SHOP, old.id)
    await happened(db, an_event(seq=2))
    await until_idle(db, courier, NOW)
    during, afterwards = receiver.got
    assert [signed(new, during), signed(old, during)] == during.signature.split(" ")
    assert [signed(new, afterwards)] == afterwards.signature.split(" ")


def signed(endpoint: Endpoint, got: Got) -> str:
    return str(Webhook(endpoint.secret or "").sign(got.id, NOW, got.body.decode()))


async def test_a_third_rotation_asks_to_retire_first(db: Database):
    """At most three secrets are valid at a time."""
    endpoint = await an_endpoint(db, "https://shop.example.com/hook")
    async with db.transaction() as tx:
        for _ in range(endpoints.MAX_SECRETS - 1):
            await endpoints.rotate_secret(tx, SHOP, endpoint.id)
        with pytest.raises(Conflict, match="retire"):
            await endpoints.rotate_secret(tx, SHOP, endpoint.id)


@pytest.mark.parametrize("types", [[], ["order.payed"], ["order.paid", "x"]])
async def test_an_endpoint_for_an_unknown_type_is_refused(db: Database, types: list[str]):
    """A misspelt type would silently hear nothing."""
    with pytest.raises(InvalidRequest, match=r"order\.paid"):
        await an_endpoint(db, "https://shop.example.com/hook", types)


async def test_another_shops_endpoint_is_not_found(db: Database):
    """An id alone opens nothing."""
    endpoint = await an_endpoint(db, "https://shop.example.com/hook")
    async with db.transaction() as tx:
        for call in (endpoints.enable, endpoints.rotate_secret, endpoints.retire_secrets, endpoints.secrets_of):
            with pytest.raises(NotFound):
                await call(tx, "bakery", endpoint.id)
        with pytest.raises(NotFound):
            await endpoints.disable(tx, "bakery", endpoint.id, "theirs")


async def test_what_a_person_disables_is_skipped_with_the_reason(db: Database, receiver: Receiver, courier: Courier):
    """Waiting deliveries are set aside with the words of whoever disabled the endpoint."""
    endpoint = await an_endpoint(db, receiver.url)
    await happened(db, an_event(), an_event(seq=2))
    await fanned_out(db, NOW)
    async with db.transaction() as tx:
        await endpoints.disable(tx, SHOP, endpoint.id, "the shop is moving")
    await until_idle(db, courier, NOW)
    async with db.session() as tx:
        rows = await shown.list_given_up(tx, endpoint.id, after_id=0, limit=10)
    assert ([("skipped", "the shop is moving")] * 2, []) == ([(row.state, row.why) for row in rows], receiver.got)


async def test_what_was_skipped_while_it_was_sent_stays_skipped_when_that_fails(db: Database) -> None:
    """Its endpoint is enabled again and event 2 is next in line: the late failure is recorded, and with it all that
    landed in its round; what came through late is delivered."""
    endpoint = await an_endpoint(db, "http://127.0.0.1:9/hook")
    await happened(db, an_event(), an_event("ord2"), an_event("ord3"))
    claimed = {row.order_id: row for row in await claimed_at(db, NOW)}
    async with db.transaction() as tx:
        await endpoints.disable(tx, SHOP, endpoint.id, "the shop is moving")
        await store.skip_disabled(tx, 100)
        await endpoints.enable(tx, SHOP, endpoint.id)
    await happened(db, an_event(seq=2), an_event("ord2", 2), an_event("ord4"))
    claimed |= {row.order_id: row for row in await claimed_at(db, after(5)) if row.order_id == "ord4"}
    again = Plan(step=Step.AGAIN, why="500: not accepted", due_at=after(10))
    failed = Settled(claimed["ord1"], NOW, after(5), Answer(status=500, elapsed_ms=5000), again)
    async with db.transaction() as tx:
        assert 3 == await store.settle(tx, [failed, delivered(claimed["ord2"]), delivered(claimed["ord4"])])
    found = [await states(db, f"ord{n}") for n in (1, 2, 3, 4)]
    assert [["skipped", "waiting"], ["delivered", "waiting"], ["skipped"], ["delivered"]] == found
    async with db.session() as tx:
        first = (await shown.deliveries_of(tx, "ord1"))[0]
    assert (1, "the shop is moving") == (first.attempts, first.why)


async def test_settled_deliveries_are_forgotten_with_their_events(db: Database, receiver: Receiver, courier: Courier):
    """Old settled rows leave, younger ones and open ones stay."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event("old"), an_event("young", created_at=after(10)))
    await until_idle(db, courier, after(10))
    receiver.answers = answering(500)
    await happened(db, an_event("open"))
    await until_idle(db, courier, after(10))
    async with db.transaction() as tx:
        assert 1 == await store.forget(tx, after(5), 100)
    assert ([], ["delivered"], ["waiting"]) == (
        await states(db, "old"),
        await states(db, "young"),
        await states(db, "open"),
    )
