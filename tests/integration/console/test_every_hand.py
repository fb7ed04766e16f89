"""Whatever a person can do by hand in the console, the API and the command line do, too, and the same comes of it."""

import asyncio
import getpass
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
from paidup.errors import NotAllowed, NotFound
from paidup.hand import approve as approving
from paidup.hand import confirm
from paidup.people import store
from paidup.people.audit import Actor
from paidup.people.user import RIGHTS, Right, Role
from paidup.shops.store import Scope
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


async def held_for_a_dear_order(api: Api, number: str) -> Ids:
    """Little came for an order that is above the limit of one person."""
    payment = await an_old_open_payment(api, number, 500_000)
    await api.confirmed(payment | {"amount_minor": 900}, f"42-{number}")
    return {"payment": payment["id"], "order": payment["order_id"]}


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


async def a_colleague(api: Api, number: str) -> Ids:
    ids = await a_new_name(api, number)
    async with api.paidup.db.transaction() as tx:
        await store.add(tx, ids["name"], Role.OPERATOR, api.paidup.clock.now())
    return ids


async def a_new_name(_api: Api, number: str) -> Ids:
    return {"name": f"dora.{number.lower()}"}


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
    "release more than one person may": Deed(
        held_for_a_dear_order, "/payments/{payment}/release", {"decision": "accept", "why": WHY},
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
    "add a user": Deed(
        a_new_name, "/users", {"deed": "add", "name": "{name}", "role": "finance"},
        "/v1/users", {"name": "{name}", "role": "finance"},
        ("users", "add", "{name}", "--role", "finance"),
    ),
    "give a user another role": Deed(
        a_colleague, "/users", {"deed": "role", "name": "{name}", "role": "approver"},
        "/v1/users/{name}/role", {"role": "approver"},
        ("users", "role", "{name}", "approver"),
    ),
    "disable a user": Deed(
        a_colleague, "/users", {"deed": "disable", "name": "{name}"},
        "/v1/users/{name}/disable", None,
        ("users", "disable", "{name}"),
    ),
    "reset a user's password and second factor": Deed(
        a_colleague, "/users", {"deed": "reset", "name": "{name}"},
        "/v1/users/{name}/reset", None,
        ("users", "reset", "{name}"),
    ),
    "make a sign-in link": Deed(
        a_colleague, "/users", {"deed": "link", "name": "{name}"},
        "/v1/users/{name}/link", None,
        ("users", "link", "{name}"),
    ),
    "check an account before it goes live": Deed(
        nothing, "/channels/wechat/main/check", {},
        "/v1/accounts/wechat/main/check", None,
        ("doctor", "--account", "wechat/main"),
    ),
}  # fmt: skip
NO_DEED = {"close an order": ("deed order.close_asked | order unpaid | order closing",)}
"""What a shop's own systems do through the API all day, and is no deed of a person there."""
ALSO = {
    # A file and no form; tests of bills send it.
    "/reconcile/bills": ("POST /v1/bills", ("reconcile", "upload")),
    # What it unmasks, the others give unmasked and write it down: see below.
    "/orders/{order_id}/{kind}/{id}": ("GET /v1/orders/{id}/details/{kind}/{thing}", ("orders", "detail")),
}
"""Deeds of the console that are no forms with fields: route and command of each."""
OWN_BROWSER = {
    "/sign-in": "a session in place of a key: whoever has a key or a shell is in",
    "/link": "the same, by the link that `users link` and /v1/users/{name}/link make",
    "/sign-out": "ends that session",
    "/prefer": "language and theme of this browser",
    "/account/password": "only its owner knows it; a link lets them set it, and `users password` where no browser is",
    "/account/totp": "it is on its owner's phone; `users reset` and /v1/users/{name}/reset forget it",
}
"""What concerns the browser in front of somebody and nothing behind it: path → why it has no twins."""
SHOWN = {
    "/": ("GET /metrics", ("metrics",)),
    "/search": ("GET /v1/search", ("orders", "find")),
    "/watched": ("GET /v1/watched", ("repair", "watched")),
    "/orders/{order_id}": ("GET /v1/trace/{id}", ("trace",)),
    "/orders/{order_id}/{kind}/{id}": ALSO["/orders/{order_id}/{kind}/{id}"],
    "/cases": ("GET /v1/cases", ("cases", "list")),
    "/cases/{case_id}": ("GET /v1/cases/{id}", ("cases", "show")),
    "/approvals": ("GET /v1/approvals", ("approvals", "list")),
    "/approvals/{approval_id}": ("GET /v1/approvals", ("approvals", "list")),
    "/callbacks": ("GET /v1/callbacks", ("callbacks", "list")),
    "/callbacks/{callback_id}": ("GET /v1/callbacks/{id}", ("callbacks", "show")),
    "/callbacks/quarantine": ("GET /v1/quarantine", ("callbacks", "quarantine")),
    "/callbacks/quarantine/{quarantine_id}": ("GET /v1/quarantine", ("callbacks", "show")),
    "/deliveries": ("GET /v1/endpoints/{id}/dead-letters", ("deliveries", "dead")),
    "/reconcile": ("GET /v1/breaks", ("reconcile", "breaks")),
    "/reconcile/bills": ("GET /v1/bills", ("reconcile", "bills")),
    "/reconcile/bills/{bill_id}/file": ("GET /v1/bills/{id}/file", ("reconcile", "download")),
    "/reconcile/{break_id}": ("GET /v1/breaks/{id}", ("reconcile", "explain")),
    "/reconcile/{channel}/{account}/{day}": ("GET /v1/reports/day", ("report", "day")),
    "/reconcile/{channel}/{account}/{day}/report.{form}": ("GET /v1/reports/day/file", ("report", "day")),
    "/reconcile/months/{month}": ("GET /v1/reports/month", ("report", "month")),
    "/reconcile/months/{month}/report.{form}": ("GET /v1/reports/month/file", ("report", "month")),
    "/stock": ("GET /v1/skus", ("stock", "list")),
    "/channels": ("GET /v1/accounts", ("keys", "list")),
    "/audit": ("GET /v1/whole-audit", ("audit",)),
    "/settings": ("GET /v1/settings", ("settings",)),
    "/users": ("GET /v1/users", ("users", "list")),
}
"""What the pages show: where the API gives it, and which command prints it. Pages before a deed are the deed's."""


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
    assert status in (200, 201, 409 if "still refused" in str(told) else 200), told


async def by_command(api: Api, deed: Deed, ids: Ids) -> None:
    settings = api.paidup.settings
    env = {"PAIDUP_DATABASE_URL": settings.database_url, "PAIDUP_DATA": str(settings.data), "PAIDUP_APP": ""}
    words = [str(word) for word in filled(list(deed.command), ids)]
    came = await asyncio.to_thread(CliRunner().invoke, cli, words, env=env, catch_exceptions=False)
    databases_of_tests_forget = came.output.count("refuse") == came.output.count("fsync is off") == 1  # doctor says so
    assert 0 == came.exit_code or databases_of_tests_forget, came.output


async def test_no_money_is_not_all_of_it(api: Api) -> None:
    """On the command line an amount of nothing, as a script computes it, gives nothing back and confirms nothing."""
    ids = await paid(api, "A-1")
    env = {"PAIDUP_DATABASE_URL": api.paidup.settings.database_url, "PAIDUP_DATA": str(api.paidup.settings.data)}
    for deed in (("refund", "--key", "k"), ("confirm", "--txn", "42000019990")):
        words = ["payments", deed[0], ids["payment"], *deed[1:], "--amount-minor", "0", "--because", WHY]
        came = await asyncio.to_thread(CliRunner().invoke, cli, words, env=env | {"PAIDUP_APP": ""})
        assert (2, True) == (came.exit_code, "--amount-minor" in came.output), came.output
    async with api.paidup.db.session() as tx:
        assert 0 == await tx.fetchval("SELECT count(*) FROM refunds")


STANDS = """
SELECT 'order ' || state AS stands FROM orders UNION ALL SELECT 'payment ' || state FROM payments
UNION ALL SELECT 'refund ' || state || amount_minor FROM refunds UNION ALL SELECT 'approval ' || state FROM approvals
UNION ALL SELECT 'case ' || (resolved_at IS NULL) || (claimed_by IS NULL) FROM cases
UNION ALL SELECT 'note ' || said FROM case_comments UNION ALL SELECT 'delivery ' || state FROM deliveries
UNION ALL SELECT 'queued ' || state FROM inbox_queue UNION ALL SELECT 'break ' || state FROM breaks
UNION ALL SELECT 'kept ' || (replayed_at IS NULL) FROM quarantine
UNION ALL SELECT concat_ws(' ', 'user', role, disabled_at IS NULL) FROM users
UNION ALL SELECT 'link' FROM sign_in_links
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
    pages = {p.path for p in PAGES if p.method == "POST"}
    without = {path for path in pages if path not in OWN_BROWSER and path not in ALSO}
    assert {shape(path) for path in without} == {shape(deed.page) for deed in DEEDS.values()}
    assert set() == {*ALSO, *OWN_BROWSER} - pages
    routes = {shape(route.path) for route in ROUTES if route.method == "POST"}
    assert set() == {shape(deed.route) for deed in DEEDS.values()} - routes
    assert [] == [deed.command for deed in DEEDS.values() if not leaf(deed.command)]


def test_whatever_a_page_shows_can_be_read_elsewhere() -> None:
    """Every page names the route and the command that show it; a page of a deed is that deed's."""
    deeds = {shape(deed.page) for deed in DEEDS.values()} | {p.path for p in PAGES if p.path in OWN_BROWSER}
    shown = {p.path for p in PAGES if p.method == "GET" and p.right is not None and shape(p.path) not in deeds}
    its_own = {"/cases/{case_id}", "/approvals/{approval_id}", "/deliveries", "/reconcile/{break_id}", "/users"}
    assert shown | its_own == set(SHOWN) | {"/account"}  # one's own page
    routes = {f"{route.method} {route.shown_path}" for route in ROUTES} | {"GET /metrics"}
    twins = [*SHOWN.values(), *ALSO.values()]
    assert ([], []) == ([r for r, _ in twins if r not in routes], [c for _, c in twins if not leaf(c)])


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


async def test_what_is_masked_on_a_page_is_given_and_written_down_everywhere(api: Api) -> None:
    """The answer of the channel, whole, by the API and by the command line, each with its line in the audit."""
    payment = await api.an_open_payment()
    order = payment["order_id"]
    async with api.paidup.db.session() as tx:
        call = await tx.fetchval("SELECT id FROM channel_calls WHERE subject_id = $1", payment["id"])
    status, given = await api.call("GET", f"/v1/orders/{order}/details/call/{call}")
    assert (200, "Call to the channel", "open") == (status, given["title"], given["facts"]["purpose"])
    detail = DEEDS["claim a case"]._replace(command=("orders", "detail", "{order}", "call", "{call}"))
    await by_command(api, detail, {"order": order, "call": call})
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT via, subject_id FROM audit WHERE action = 'data.revealed' ORDER BY n")
    assert [("api", call), ("cli", call)] == [tuple(row) for row in rows]


async def test_users_are_the_owners_and_their_links_are_kept_nowhere(api: Api) -> None:
    """A key for everything in its shop opens neither users nor settings nor the whole audit; a link is given once."""
    shops_own = await api.a_key(Scope.READ, Scope.WRITE, Scope.REFUND, Scope.ADMIN)
    for path in ("/v1/users", "/v1/settings", "/v1/whole-audit"):
        assert 403 == (await api.call("GET", path, key=shops_own))[0]
    made = [await api.call("POST", "/v1/users", {"name": "dora"}, once="dora") for _ in "12"]
    token = made[0][1]["link"].partition("token=")[2]
    assert ([201, 409], 43) == ([status for status, _ in made], len(token))
    async with api.paidup.db.session() as tx:
        kept = await tx.fetchval("SELECT answer FROM idempotency_keys WHERE key = 'dora'")
    assert (False, True) == (token in kept, "dora" in kept)
    _, told = await api.call("GET", "/v1/whole-audit?action=user.added")
    assert [("api", "dora", "viewer")] == [(d["via"], d["subject_id"], d["after"]) for d in told["items"]]
    assert [] == (await api.call("GET", "/v1/audit", key=shops_own))[1]["items"]


async def test_a_key_of_people_asks_a_second_one_before_much_money_goes_back(api: Api) -> None:
    """With `admin` and without `refund`, the only way to give money back is the one with the limit of one person."""
    ids, peoples = await dear(api, "H-1"), await api.a_key(Scope.READ, Scope.ADMIN)
    back = f"/v1/payments/{ids['payment']}"
    assert 403 == (await api.call("POST", f"{back}/refunds", {"reason": WHY}, key=peoples, once="r"))[0]
    status, told = await api.call("POST", f"{back}/refund-by-hand", {"reason": WHY}, key=peoples, once="h")
    assert (200, "waiting") == (status, told["state"])


@pytest.mark.parametrize(
    ("name", "role", "says"),
    [
        ("nobody", None, "paidup users add nobody"),
        ("olga", Role.OPERATOR, "ask somebody with the role"),
        ("dan", Role.FINANCE, "dan is disabled"),
    ],
)
@pytest.mark.parametrize("deed", ["agree to the repair of a break", "say how a break was settled"])
async def test_whoever_is_named_on_the_command_line_may_do_it(
    api: Api, deed: str, name: str, role: Role | None, says: str
) -> None:
    """A name that is nobody's, of a role that may not, or of somebody who is gone, agrees to nothing."""
    ids = await broken(api, "H-1")
    if role is not None:
        async with api.paidup.db.transaction() as tx:
            await store.add(tx, name, role, api.paidup.clock.now())
            if name == "dan":
                await store.disable(tx, name, api.paidup.clock.now())
    by_them = [name if word == "alice" else word for word in DEEDS[deed].command]
    before = await stands(api)
    with pytest.raises((NotAllowed, NotFound), match=says):
        await by_command(api, DEEDS[deed]._replace(command=by_them), ids)
    assert before == await stands(api)


async def test_who_typed_a_name_stands_beside_it(api: Api) -> None:
    """The audit names the user, and the account of the shell in which the name was typed."""
    ids = await broken(api, "H-1")
    async with api.paidup.db.transaction() as tx:
        await store.add(tx, "alice", Role.FINANCE, api.paidup.clock.now())
    await by_command(api, DEEDS["agree to the repair of a break"], ids)
    async with api.paidup.db.session() as tx:
        row = await tx.fetchrow("SELECT who, via, why FROM audit WHERE action = 'break.agreed'")
    assert row is not None
    assert ("alice", "cli", f"{WHY} (entered by cli:{getpass.getuser()})") == tuple(row)
