"""Where a shop's events and the steps of its transactions are sent, and by whose key: whoever changes it could redirect
them, and stands in the audit by the same transaction."""

from collections.abc import Sequence
from datetime import datetime

from paidup.db.transaction import Tx
from paidup.delivery import endpoints
from paidup.delivery.endpoints import Endpoint
from paidup.people import audit
from paidup.people.audit import Actor
from paidup.shops import store as shops
from paidup.shops.store import Scope
from paidup.transactions import participants
from paidup.transactions.participants import Participant


async def add_endpoint(
    tx: Tx, actor: Actor, shop: str, url: str, types: Sequence[str], now: datetime, *, allow_loopback: bool
) -> Endpoint:
    """Register a URL for these event types. Raises as `endpoints.create_endpoint` does."""
    made = await endpoints.create_endpoint(tx, shop, url, types, now, allow_loopback=allow_loopback)
    return await endpoint_changed(tx, actor, "endpoint.added", made, now)


async def endpoint_changed(tx: Tx, actor: Actor, action: str, endpoint: Endpoint, now: datetime) -> Endpoint:
    """Write down what was just done to an endpoint; returns it."""
    hears = f"{endpoint.url} hears {', '.join(endpoint.types)}"
    await audit.write(tx, actor, action, now, shop=endpoint.shop, subject_id=endpoint.id, after=hears)
    return endpoint


async def put_participant(
    tx: Tx, actor: Actor, shop: str, name: str, url: str, now: datetime, *, allow_loopback: bool
) -> Participant:
    """Register a service, or move it to another URL. Raises as `participants.put_participant` does."""
    before = next((one.url for one in await participants.list_participants(tx, shop) if one.name == name), "")
    made = await participants.put_participant(tx, shop, name, url, now, allow_loopback=allow_loopback)
    action = "participant.moved" if made.secret is None else "participant.registered"
    return await participant_changed(tx, actor, action, made, now, before=before)


async def participant_changed(
    tx: Tx, actor: Actor, action: str, one: Participant, now: datetime, *, before: str = ""
) -> Participant:
    """Write down what was just done to a participant; returns it."""
    await audit.write(tx, actor, action, now, shop=one.shop, subject_id=one.name, before=before, after=one.url)
    return one


async def make_key(tx: Tx, actor: Actor, shop: str, scopes: Sequence[Scope], now: datetime) -> str:
    """An API key of a shop, which cannot be shown again."""
    key = await shops.create_key(tx, shop, scopes, now)
    made = await shops.find_key(tx, shops.key_hash(key))
    await audit.write(
        tx, actor, "key.made", now, shop=shop, subject_id=made.id if made else "", after=", ".join(scopes)
    )  # fmt: skip
    return key


async def revoke_key(tx: Tx, actor: Actor, key_id: str, now: datetime) -> bool:
    """End an API key; False when there is no such live one."""
    shop = await shops.revoke_key(tx, key_id, now)
    if shop is not None:
        await audit.write(tx, actor, "key.revoked", now, shop=shop, subject_id=key_id)
    return shop is not None
