"""Whatever a person can do by hand in the console, the API and the command line do, too, and the same comes of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner
from test_console_hand import an_old_open_payment, forget_the_last_question

from api_side import Api
from break_side import a_break
from console_side import Browser, signed_in
from paidup.cli import cli
from paidup.console.app import PAGES
from paidup.errors import NotAllowed
from paidup.hand import approve as approving
from paidup.hand import confirm
from paidup.people.audit import Actor
from paidup.people.user import RIGHTS, Right, Role
from paidup.web.api import ROUTES

Ids = Mapping[str, str]
ZOE = Actor("zoe", "console")
WHY = "ticket 312"

# Things that the deeds are about ------------------------------------------------------------------------------------


async def open_payment(api: Api, number: str) -> Ids:
    payment = await an_old_open_payment(api, number)
    return {"payment": payment["id"], "order": payment["order_id"], "txn": f"42000019990{number}", "number": number}


async def bought(api: Api, number: str) -> Ids:
    """Paid at the channel; nobody told us yet."""
    payment = await an_old_open_payment(api, number)
    await api.buyer_pays(payment)
    return {"payment": payment["id"], "order": payment["order_id"]}


async def paid(api: Api, number: str) -> Ids:
    payment = await api.a_paid_payment(number)
    return {"payment": payment["id"], "order": payment["order_id"], "number": number}


async def dear(api: Api, number: str) -> Ids:
    """Paid, and too much for one person to give back."""
    payment = await an_old_open_payment(api, number, 500_000)
    await api.confirmed(payment, f"42-{number}")
    return {"payment": payment["id"], "order": payment["order_id"], "number": number}


async def held(api: Api, number: str) -> Ids:
    payment = await an_old_open_payment(api, number)
    await api.confirmed(payment | {"amount_minor": 900}, f"42-{number}")
    async with api.paidup.db.session() as tx:
        case = await tx.fetchval("SELECT id FROM cases WHERE order_id = $1", payment["order_id"])
    return {"payment": payment["id"], "order": payment["order_id"], "case": case}


async def asked(api: Api, number: str) -> Ids:
    """Somebody asked for a confirmation that the channel contradicts."""
    ids = await open_payment(api, number)
    wanted = confirm.Confirm(
        payment_id=ids["payment"], channel_txn_id=ids["txn"], amount_minor=1250, currency="CNY", why=WHY
    )
    done = await confirm.confirm(api.desk, ZOE, wanted, key=number)
    await forget_the_last_question(api)
    return dict(ids) | {"approval": str(done.approval_id)}


async def dead_letter(api: Api, number: str) -> Ids:
    order = await api.an_order(number)
    _, endpoint = await api.call("POST", "/v1/endpoints", {"url": f"http://127.0.0.1:9/{number}"})
    async with api.paidup.db.session() as tx:
        delivery = await tx.fetchval(
            """INSERT INTO deliveries
              (event_id, event_created_at, endpoint_id, shop, order_id, seq, type, state, due_at, created_at)
            VALUES ($1, now(), $2, 'acme', $3, 1, 'order.paid', 'dead', now(), now()) RETURNING id""",
            f"evt{number}", endpoint["id"], order,
        )  # fmt: skip
    return {"order": order, "endpoint": endpoint["id"], "delivery": str(delivery)}


async def parked_callback(api: Api, number: str) -> Ids:
    """Of a payment that nobody registered."""
    callback = f"cbk{number.lower().replace('-', '')}"
    async with api.paidup.db.session() as tx:
        await tx.execute(
            "INSERT INTO inbox (id, received_at, shop, channel, account, dedup_key, kind, target, headers, body) "
            "VALUES ($1, now(), 'acme', 'wechat', 'main', $1, 'TRANSACTION.SUCCESS', '/', '[]', '{}')", callback,
        )  # fmt: skip
    return {"callback": callback}


async def quarantined(api: Api, number: str) -> Ids:
    async with api.session.post(f"{api.url}/callbacks/wechat/main", data=number.encode()) as answer:
        assert answer.status in (400, 401)
    async with api.paidup.db.session() as tx:
        return {"quarantined": await tx.fetchval("SELECT id FROM quarantine ORDER BY id DESC LIMIT 1")}


async def broken(api: Api, number: str) -> Ids:
    return {"break": (await a_break(api, number)).break_id}


async def nothing(_api: Api, _number: str) -> Ids:
    return {}


# The deeds, three times each ----------------------------------------------------------------------------------------


class Deed(NamedTuple):
    """page, route and command name what must be there; {names} in paths, fields, bodies and arguments are ids."""

    about: Callable[[Api, str], Awaitable[Ids]]
    page: str
    fields: Mapping[str, str]
    route: str
    body: Mapping[str, Any] | None
    command: Sequence[str]


BECAUSE = ("--because", WHY)
REASON = {"reason": WHY}
DEEDS = {
    "ask the channel": Deed(
        bought, "/payments/{payment}/query", {},
        "/v1/payments/{payment}/query", None,
        ("payments", "ask", "{payment}"),
    ),
    "confirm a payment": Deed(
        open_payment, "/payments/{payment}/confirm",
        {"step": "do", "txn": "{txn}", "amount": "12.50", "why": WHY, "key": "{number}"},
        "/v1/payments/{payment}/confirm", REASON | {"channel_txn_id": "{txn}"},
        ("payments", "confirm", "{payment}", "--txn", "{txn}", *BECAUSE),
    ),
    "testify to a payment": Deed(
        open_payment, "/payments/{payment}/confirm",
        {"step": "do", "txn": "{txn}", "amount": "12.50", "why": WHY, "key": "{number}"},
        "/v1/evidence",
        REASON | {"payment_id": "{payment}", "channel_txn_id": "{txn}", "amount_minor": 1250, "currency": "CNY"},
        ("payments", "confirm", "{payment}", "--txn", "{txn}", *BECAUSE),
    ),
    "refund": Deed(
        paid, "/payments/{payment}/refund", {"step": "do", "amount": "5", "why": WHY, "key": "{number}"},
        "/v1/payments/{payment}/refund-by-hand", REASON | {"amount_minor": 500},
        ("payments", "refund", "{payment}", "--amount-minor", "500", *BECAUSE, "--key", "{number}"),
    ),
    "refund more than one person may": Deed(
        dear, "/payments/{payment}/refund", {"step": "do", "amount": "5000", "why": WHY, "key": "{number}"},
        "/v1/payments/{payment}/refund-by-hand", REASON,
        ("payments", "refund", "{payment}", *BECAUSE, "--key", "{number}"),
    ),
    "release held money": Deed(
        held, "/payments/{payment}/release", {"decision": "accept", "why": WHY},
        "/v1/payments/{payment}/release", REASON | {"decision": "accept"},
        ("payments", "release", "{payment}", "accept", *BECAUSE),
    ),
    "close an order": Deed(
        open_payment, "/orders/{order}/close", {"why": WHY},
        "/v1/orders/{order}/close", REASON,
        ("orders", "close", "{order}", *BECAUSE),
    ),
    "tell the shop of an order again": Deed(
        dead_letter, "/orders/{order}/resend", {"why": WHY},
        "/v1/deliveries/redrive", REASON | {"order_id": "{order}"},
        ("deliveries", "redrive", "--order", "{order}", *BECAUSE),
    ),
    "send a dead letter again": Deed(
        dead_letter, "/deliveries", {"id": "{delivery}", "why": WHY},
        "/v1/deliveries/redrive", REASON | {"delivery_ids": ["{delivery}"]},
        ("deliveries", "redrive", "{delivery}", *BECAUSE),
    ),
    "send all dead letters of an endpoint again": Deed(
        dead_letter, "/deliveries", {"deed": "all", "endpoint": "{endpoint}", "why": WHY},
        "/v1/deliveries/redrive", REASON | {"endpoint_id": "{endpoint}"},
        ("deliveries", "redrive", "--endpoint", "{endpoint}", *BECAUSE),
    ),
    "agree to what another asked for": Deed(
        asked, "/approvals/{approval}", {"deed": "approve", "why": WHY},
        "/v1/approvals/{approval}/approve", REASON,
        ("approvals", "approve", "{approval}", *BECAUSE),
    ),
    "refuse what another asked for": Deed(
        asked, "/approvals/{approval}", {"deed": "refuse", "why": WHY},
        "/v1/approvals/{approval}/refuse", REASON,
        ("approvals", "refuse", "{approval}", *BECAUSE),
    ),
    "claim a case": Deed(
        held, "/cases/{case}", {"deed": "claim"},
        "/v1/cases/{case}/claim", None,
        ("cases", "claim", "{case}"),
    ),
    "write beside a case": Deed(
        held, "/cases/{case}", {"deed": "comment", "said": WHY},
        "/v1/cases/{case}/comment", REASON,
        ("cases", "comment", "{case}", WHY),
    ),
    "close a case": Deed(
        held, "/cases/{case}", {"deed": "resolve", "said": WHY},
        "/v1/cases/{case}/resolve", {"resolution": WHY},
        ("cases", "resolve", "{case}", *BECAUSE),
    ),
    "replay a callback": Deed(
        parked_callback, "/callbacks/{callback}/replay", {"why": WHY},
        "/v1/callbacks/{callback}/replay", REASON,
        ("callbacks", "replay", "{callback}", *BECAUSE),
    ),
    "verify a quarantined callback again": Deed(
        quarantined, "/callbacks/quarantine/{quarantined}/replay", {"why": WHY},
        "/v1/quarantine/{quarantined}/replay", REASON,
        ("callbacks", "quarantine", "--replay", "{quarantined}", *BECAUSE),
    ),
    "agree to the repair of a break": Deed(
        broken, "/reconcile/{break}", {"deed": "agree", "why": WHY},
        "/v1/breaks/{break}/approve", REASON,
        ("reconcile", "approve", "{break}", "--by", "alice", *BECAUSE),
    ),
    "say how a break was settled": Deed(
        broken, "/reconcile/{break}", {"deed": "resolve", "why": WHY},
        "/v1/breaks/{break}/resolve", REASON,
        ("reconcile", "resolve", "{break}", "--by", "alice", *BECAUSE),
    ),
    "check an account before it goes live": Deed(
        nothing, "/channels/wechat/main/check", {},
        "/v1/accounts/wechat/main/check", None,
        ("doctor", "--account", "wechat/main"),
    ),
}  # fmt: skip
NO_DEED = {"close an order": ("deed order.close_asked | order unpaid | order closing",)}
"""What a shop's own systems do through the API all day, and is no deed of a person there."""
ELSEWHERE = {
    "/sign-in", "/link", "/prefer", "/sign-out", "/account/password", "/account/totp",  # a browser's own session
    "/reconcile/bills",  # a file and no form: POST /v1/bills and `reconcile upload` take it, tests of bills send it
    "/users",  # `paidup users`; an API key belongs to one shop, and users see all of them
    "/orders/{order_id}/{kind}/{id}",  # what it unmasks, the API and the command line show and write down: see below
}  # fmt: skip


def filled(thing: Any, ids: Ids) -> Any:
    """{names} replaced, in a text, a list or a mapping; numbers of deliveries become numbers."""
    if isinstance(thing, str):
        return thing.format_map(ids)
    if isinstance(thing, Mapping):
        return {name: filled(value, ids) for name, value in thing.items()}
    if isinstance(thing, Sequence):
        return [int(ids["delivery"]) if one == "{delivery}" else filled(one, ids) for one in thing]
    return thing


async def by_console(browser: Browser, deed: Deed, ids: Ids) -> None:
    page = await browser.post(filled(deed.page, ids), filled(deed.fields, ids))
    assert 200 == page.status, page.text


async def by_api(api: Api, deed: Deed, ids: Ids) -> None:
    status, told = await api.call("POST", filled(deed.route, ids), filled(deed.body, ids), once=f"once-{ids!s:.60}")
    assert status in (200, 409 if "still refused" in str(told) else 200), told


async def by_command(api: Api, deed: Deed, ids: Ids) -> None:
    settings = api.paidup.settings
    env = {"PAIDUP_DATABASE_URL": settings.database_url, "PAIDUP_DATA": str(settings.data), "PAIDUP_APP": ""}
    words = [str(word) for word in filled(list(deed.command), ids)]
    came = await asyncio.to_thread(CliRunner().invoke, cli, words, env=env, catch_exceptions=False)
    databases_of_tests_forget = came.output.count("refuse") == came.output.count("fsync is off") == 1  # doctor says so
    assert 0 == came.exit_code or databases_of_tests_forget, came.output


STANDS = """
SELECT 'order ' || state AS stands FROM orders UNION ALL SELECT 'payment ' || state FROM payments
UNION ALL SELECT 'refund ' || state || amount_minor FROM refunds UNION ALL SELECT 'approval ' || state FROM approvals
UNION ALL SELECT 'case ' || (resolved_at IS NULL) || (claimed_by IS NULL) FROM cases
UNION ALL SELECT 'note ' || said FROM case_comments UNION ALL SELECT 'delivery ' || state FROM deliveries
UNION ALL SELECT 'queued ' || state FROM inbox_queue UNION ALL SELECT 'break ' || state FROM breaks
UNION ALL SELECT 'kept ' || (replayed_at IS NULL) FROM quarantine
UNION ALL SELECT 'deed ' || concat_ws(' | ', action, before, after) FROM audit WHERE action <> 'user.signed_in'"""


async def stands(api: Api) -> Counter[str]:
    """How many of everything stand where, and what the audit says was done."""
    async with api.paidup.db.session() as tx:
        return Counter(row["stands"] for row in await tx.fetch(STANDS))


@pytest.mark.parametrize("name", DEEDS)
async def test_the_same_comes_of_it_from_everywhere(api: Api, name: str) -> None:
    """By a form, by a request and by a command: the same rows move, and the audit tells the same."""
    deed, came = DEEDS[name], []
    async with signed_in(api) as alice:
        ways: dict[str, Callable[[Ids], Awaitable[None]]] = {
            "console": lambda ids: by_console(alice, deed, ids),
            "api": lambda ids: by_api(api, deed, ids),
            "cli": lambda ids: by_command(api, deed, ids),
        }
        for n, way in enumerate(ways.values()):
            ids = await deed.about(api, f"H-{n}")
            before = await stands(api)
            await way(ids)
            after = await stands(api)
            came.append((after - before, before - after))
    console, api_, command = came
    for what in NO_DEED.get(name, ()):  # the journal of decisions names the road `shop`
        assert 1 == console[0].pop(what) == command[0].pop(what)
    assert (console, console) == (api_, command)
    assert any(what.startswith("deed ") for what in console[0]) or name in NO_DEED


def test_every_deed_of_the_console_is_in_the_list() -> None:
    """A page that does something by hand cannot be added without its two twins; and what the list names is there."""
    pages = {shape(p.path) for p in PAGES if p.method == "POST" and p.path not in ELSEWHERE}
    assert pages == {shape(deed.page) for deed in DEEDS.values()}
    routes = {shape(route.path) for route in ROUTES if route.method == "POST"}
    assert set() == {shape(deed.route) for deed in DEEDS.values()} - routes
    assert [] == [deed.command for deed in DEEDS.values() if not leaf(deed.command)]


def shape(path: str) -> str:
    """A path with its names left out."""
    words = ["*" if "{" in word or word in ("wechat", "main") else word for word in path.split("/")]
    return "/".join(words)


def leaf(words: Sequence[str]) -> bool:
    command: click.Command | None = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    return command is not None and not isinstance(command, click.Group)


async def test_who_reads_a_callback_unmasked_is_written_down(api: Api) -> None:
    """Through the API and the command line as on its page."""
    ids = await parked_callback(api, "H-1")
    assert "{}" == (await api.call("GET", f"/v1/callbacks/{ids['callback']}"))[1]["body"]
    await by_command(api, DEEDS["replay a callback"]._replace(command=("callbacks", "show", "{callback}")), ids)
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT via, subject_id FROM audit WHERE action = 'data.revealed' ORDER BY at")
    assert [("api", ids["callback"]), ("cli", ids["callback"])] == [tuple(row) for row in rows]


@pytest.mark.parametrize("rights", [RIGHTS[Role.OPERATOR], RIGHTS[Role.FINANCE]], ids=["operator", "finance"])
async def test_agreeing_takes_the_right_wherever_it_is_said(api: Api, rights: frozenset[Right]) -> None:
    """The rule stands below all three edges: whoever may not approve neither agrees nor refuses."""
    ids, bob = await asked(api, "H-1"), Actor("bob", "console", rights)
    for decide in (approving.approve, approving.refuse):
        with pytest.raises(NotAllowed, match="ask somebody with the role approver, admin"):
            await decide(api.desk, bob, ids["approval"], WHY)
    own = Actor("zoe", "console", rights)
    await approving.refuse(api.desk, own, ids["approval"], "my mistake")
