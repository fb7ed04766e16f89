"""`--json` of every command an operator's script may call, and bulk work that is done whole."""

import asyncio
import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import click
import pytest
from test_commands import paidup

GROUPS = ("demo", "trace", "verify", "doctor", "metrics", "callbacks", "payments", "repair", "deliveries", "cases",
          "keys", "db", "audit", "reconcile", "report", "tx", "stock", "users", "orders", "approvals", "settings",
          "simulate")  # fmt: skip
DEAD_LETTERS = 2500
"""More than one portion."""


@pytest.fixture
def env(db_dsn: str, tmp_path: Path) -> dict[str, str]:
    return {"PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true"}


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from leaves(below, f"{path} {name}")


def without_json(command: click.Command, path: str) -> list[str]:
    return [name for name, leaf in leaves(command, path) if not any("--json" in p.opts for p in leaf.params)]


def test_every_command_speaks_to_machines() -> None:
    """Each takes --json. (serve and sandbox run for ever; their log is JSON where nobody sits at a terminal.)"""
    modules = {name: importlib.import_module(f"paidup.cli.{name}").command for name in GROUPS}
    assert [] == [path for name, command in modules.items() for path in without_json(command, name)]


def test_a_command_without_json_is_seen() -> None:
    """The look above would find one."""
    bare = click.Group("g", commands=[click.Command("a"), click.Command("b", params=[click.Option(["--json"])])])
    assert ["g a"] == without_json(bare, "g")


async def kill_letters(dsn: str, endpoint: str) -> None:
    """So many dead letters of as many orders."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """INSERT INTO deliveries (event_id, event_created_at, endpoint_id, shop, order_id, seq, type, state, due_at,
          created_at)
        SELECT 'evt' || n, now(), $1, 'acme', 'ord' || n, 1, 'order.paid', 'dead', now(), now()
        FROM generate_series(1, $2::int) n""",
        endpoint,
        DEAD_LETTERS,
    )
    await connection.close()


def test_all_dead_letters_of_an_endpoint_are_redriven(env: dict[str, str]) -> None:
    """However many: not one portion of them with a sentence that says all; a second time there is nothing left."""
    assert 0 == paidup("db", "shop", "acme", env=env).returncode
    made = json.loads(paidup("deliveries", "endpoint", "acme", "http://127.0.0.1:9/x", "--json", env=env).stdout)
    asyncio.run(kill_letters(env["PAIDUP_DATABASE_URL"], made["endpoint"]))
    first, second = (paidup("deliveries", "redrive", "--endpoint", made["endpoint"], "--json", env=env) for _ in "12")
    stood = {
        row["state"]: row["deliveries"] for row in json.loads(paidup("deliveries", "summary", "--json", env=env).stdout)
    }
    assert ({"redriven": DEAD_LETTERS}, {"redriven": 0}) == (json.loads(first.stdout), json.loads(second.stdout))
    assert (True, DEAD_LETTERS, 0) == (made["secret"].startswith("whsec_"), stood["waiting"], stood["dead"])


def test_what_is_done_to_the_stock_is_told_to_a_machine(env: dict[str, str], tmp_path: Path) -> None:
    """One JSON object each: the article as it is then, the policy, what a file brought."""
    assert 0 == paidup("db", "shop", "acme", env=env).returncode
    (tmp_path / "delivery.csv").write_text("sku,quantity\nTEA-01,5\n")
    done = [
        json.loads(paidup("stock", *words, "--json", env=env).stdout)
        for words in (
            ("put", "acme", "TEA-01", "--low-at", "3"),
            ("restock", "acme", "TEA-01", "10", "--because", "delivery note 4711"),
            ("adjust", "acme", "TEA-01", "--by", "-1", "--because", "one was broken"),
            ("import", "acme", str(tmp_path / "delivery.csv")),
            ("policy", "acme", "--hold-s", "600", "--refunded", "keep"),
        )
    ]
    assert [0, 10, 9] == [row["available"] for row in done[:3]]
    assert [{"lines": 1, "units": 5}, {"shop": "acme", "hold_s": 600, "restock_refunded": False}] == done[3:]


def test_what_a_replay_did_is_told_to_a_machine(env: dict[str, str]) -> None:
    """Of each by its number, also of those that are not there; and the database's address."""
    judged = paidup("callbacks", "quarantine", "--replay", "qua-nobody", "--json", env=env)
    assert [{"id": "qua-nobody", "verdict": None}] == json.loads(judged.stdout)
    assert {"url": env["PAIDUP_DATABASE_URL"]} == json.loads(paidup("db", "url", "--json", env=env).stdout)
