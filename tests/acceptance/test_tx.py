"""`paidup tx` as its users run it: as processes, against a database of their own."""

import getpass
import json
from pathlib import Path

import msgspec
import pytest
from test_commands import paidup

from kept import an_offer, keep
from paidup.db.transaction import Database
from paidup.delivery import sign
from paidup.participant import Call, Operation, Untrusted, read_call
from paidup.testing.builders import NOW, SHOP, order_id
from paidup.transactions import participants

TABLE = """
name = "checkout"
kind = "saga"

[[step]]
name = "coupon"
participant = "coupons"
"""


@pytest.fixture
def env(db_dsn: str, tmp_path: Path) -> dict[str, str]:
    return {
        "PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true",
    }  # fmt: skip


async def test_a_transaction_is_defined_begun_seen_and_undone(
    db: Database, env: dict[str, str], tmp_path: Path
) -> None:
    """Every decision stands in its record with who made it and why; a second begin under the key is the same one."""
    await keep(db, an_offer())
    (tmp_path / "checkout.toml").write_text(TABLE)
    made = paidup("tx", "participant", SHOP, "coupons", "http://127.0.0.1:9/", env=env)
    assert made.stdout.startswith("whsec_"), made.stderr
    assert 0 == paidup("tx", "define", SHOP, str(tmp_path / "checkout.toml"), env=env).returncode
    begin = ("tx", "begin", SHOP, order_id(), "checkout", "--key", "A-1", "--data", '{"coupon": {"code": "TEA10"}}')
    xid, again = (paidup(*begin, env=env).stdout.strip() for _ in range(2))
    assert (xid, True) == (again, xid.startswith("txn"))
    (listed,) = json.loads(paidup("tx", "list", "--json", env=env).stdout)
    assert (xid, "RUNNING") == (listed["id"], listed["state"])
    refused = paidup("tx", "compensate", xid, "--who", "lin", "--because", "the customer called", env=env)
    assert (2, True) == (refused.returncode, "paidup users add lin" in refused.stderr)
    assert 0 == paidup("users", "add", "lin", "--role", "operator", env=env).returncode
    undone = paidup("tx", "compensate", xid, "--who", "lin", "--because", "the customer called", env=env)
    assert (0, True) == (undone.returncode, f"{xid} is COMPENSATING" in undone.stderr), undone.stderr
    shown = json.loads(paidup("tx", "show", xid, "--json", env=env).stdout)
    lin = f"lin (cli:{getpass.getuser()})"
    assert (f"compensate by {lin}", "the customer called", lin) == tuple(
        shown["record"][1][name] for name in ("what", "why", "who")
    )
    looked = paidup("tx", "check", "--json", env=env)
    assert (0, 1, 0) == (looked.returncode, json.loads(looked.stdout)["transactions"], looked.stdout.count("what"))
    told = paidup("trace", xid, env=env)
    assert (True, True) == (f"order {order_id()}" in told.stdout, "RUNNING → COMPENSATING" in told.stdout), told.stderr


async def test_a_participants_secret_is_rotated_without_a_gap(db: Database, env: dict[str, str]) -> None:
    """In between requests are signed with both, so that the service may change over at any moment; then with the new
    one alone. A third is refused until the older ones are retired."""
    await keep(db, an_offer())
    old = json.loads(
        paidup("tx", "participant", SHOP, "coupons", "https://coupons.example.com/", "--json", env=env).stdout
    )
    new = paidup("tx", "rotate", SHOP, "coupons", env=env).stdout.strip()
    assert [[True, True], [True, True]] == [await believed(db, [secret]) for secret in (old["secret"], new)]
    kept = json.loads(paidup("tx", "retire", SHOP, "coupons", "--json", env=env).stdout)
    assert (("coupons", False), [False, False], [True, True]) == (
        (kept["name"], "secret" in kept),
        await believed(db, [old["secret"]]),
        await believed(db, [new]),
    )
    for expected in (0, 0, 2):
        assert expected == paidup("tx", "rotate", SHOP, "coupons", "--json", env=env).returncode
    unknown = paidup("tx", "rotate", SHOP, "nobody", env=env)
    assert (2, True) == (unknown.returncode, "has no participant 'nobody'" in unknown.stderr)


async def believed(db: Database, secrets: list[str]) -> list[bool]:
    """Whether a service that knows these believes what the coordinator sends now: an action, and its undoing."""
    async with db.session() as tx:
        way = (await participants.ways(tx, [SHOP]))[SHOP, "coupons"]
    found = []
    for operation in (Operation.ACTION, Operation.COMPENSATE):
        call = Call(xid="txn1", step="coupon", operation=operation, shop=SHOP, order_id=order_id())
        body = msgspec.json.encode(call)
        headers = dict(sign.headers(call.key, NOW, body, way.secrets))
        try:
            found.append(
                read_call({name.lower(): value for name, value in headers.items()}, body, secrets, NOW) == call
            )
        except Untrusted:
            found.append(False)
    return found


async def test_what_is_changed_is_told_to_machines(db: Database, env: dict[str, str], tmp_path: Path) -> None:
    """Each command that changes something prints one JSON object and nothing else on stdout."""
    await keep(db, an_offer())
    (tmp_path / "checkout.toml").write_text(TABLE)
    paidup("tx", "participant", SHOP, "coupons", "http://127.0.0.1:9/", env=env)
    moved = paidup("tx", "participant", SHOP, "coupons", "http://127.0.0.1:9/x", "--json", env=env)
    defined = paidup("tx", "define", SHOP, str(tmp_path / "checkout.toml"), "--json", env=env)
    begun = json.loads(paidup("tx", "begin", SHOP, order_id(), "checkout", "--key", "A-1", "--json", env=env).stdout)
    undone = paidup("tx", "compensate", begun["id"], "--because", "the customer called", "--json", env=env)
    assert ("http://127.0.0.1:9/x", ("checkout", "saga", 1), "RUNNING", (begun["id"], "COMPENSATING")) == (
        json.loads(moved.stdout)["url"],
        tuple(json.loads(defined.stdout)[name] for name in ("name", "kind", "steps")),
        begun["state"],
        tuple(json.loads(undone.stdout)[name] for name in ("id", "state")),
    )


async def test_what_cannot_be_is_said_with_what_to_do(db: Database, env: dict[str, str], tmp_path: Path) -> None:
    """An unknown transaction, a table without its participant, a URL on the inside: one line each, and exit code 2."""
    await keep(db, an_offer())
    (tmp_path / "checkout.toml").write_text(TABLE)
    strict = env | {"PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "false"}
    told = {
        "there is no transaction txn1; `paidup tx list` shows": paidup("tx", "show", "txn1", env=env),
        "has no participant 'coupons'": paidup("tx", "define", SHOP, str(tmp_path / "checkout.toml"), env=env),
        "over https only": paidup("tx", "participant", SHOP, "coupons", "http://127.0.0.1:9/", env=strict),
    }
    assert [2, 2, 2] == [ran.returncode for ran in told.values()]
    assert [] == [words for words, ran in told.items() if words not in ran.stderr or "Traceback" in ran.stderr]
