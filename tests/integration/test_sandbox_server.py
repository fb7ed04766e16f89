"""The sandbox over HTTP: its addresses, its control API, and how badly it answers on order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

import sandbox_merchant as merchant
from paidup.channels.accounts import AccountsFolder
from paidup.errors import ConfigError
from paidup.sandbox.buyers import Buyers
from paidup.sandbox.faults import Faults
from paidup.sandbox.http import MAX_BODY_BYTES
from paidup.sandbox.server import Running, SandboxConfig, serving
from paidup.testing.clock import ManualClock
from sandbox_merchant import NOW

Told = tuple[int, dict]


class Client:
    """Stripe's API and the control API, over HTTP."""

    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session

    async def call(self, method: str, path: str, body: object = None, **form: str) -> Told:
        headers = {"authorization": f"Bearer {self.running.keys['main'].stripe.secret}"}
        sent = {"data": form} if form else {"json": body} if body is not None else {}
        async with self.session.request(method, self.running.base_url + path, headers=headers, **sent) as answer:
            return answer.status, await answer.json(content_type=None)

    async def open(self, ref: str = "order1") -> Told:
        return await self.call("POST", "/v1/payment_intents", amount="1250", currency="usd", **{"metadata[order]": ref})

    async def act(self, what: str, **which: str) -> Told:
        return await self.call("POST", f"/sandbox/{what}", {"channel": "stripe", "merchant_ref": "order1", **which})


@asynccontextmanager
async def sandbox(
    folder: Path, clock: ManualClock | None = None, *, patience_s: float = 20, **config
) -> AsyncIterator[Client]:
    wanted = SandboxConfig(accounts_dir=folder, port=0, paidup_url=merchant.PAIDUP, **config)
    keys = None if "accounts" in config else {"main": merchant.keys()}
    async with (
        serving(wanted, clock or ManualClock(NOW), keys) as running,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=patience_s)) as session,
    ):
        yield Client(running, session)


async def test_a_buyer_pays_when_told_to(tmp_path: Path) -> None:
    """Opened, paid by POST /sandbox/pay, and so it stands in the ledger and at the channel."""
    async with sandbox(tmp_path) as client:
        _, intent = await client.open()
        assert (200, "paid") == await status_and(client.act("pay"), "state")
        assert (400, "trade order1 is paid and cannot be paid") == await status_and(client.act("pay"), "error")
        _, [trade] = await client.call("GET", "/sandbox/ledger")
        assert (intent["id"], "2026-11-23T08:00:00Z", 1250) == (
            trade["number"], trade["paid_at"], trade["amount_minor"],
        )  # fmt: skip
        assert (200, "succeeded") == await status_and(
            client.call("GET", f"/v1/payment_intents/{intent['id']}"), "status"
        )


async def test_a_code_that_nobody_can_pay_is_not_scanned(tmp_path: Path) -> None:
    """400, instead of an answer that looks as if somebody had looked at it."""
    async with sandbox(tmp_path) as client:
        await client.open()
        assert 200 == (await client.act("scan"))[0]
        await client.act("pay")
        assert (400, "trade order1 is paid: there is nothing left to scan") == await status_and(
            client.act("scan"), "error"
        )


async def status_and(call, name: str) -> tuple[int, object]:
    status, told = await call
    return status, told[name]


async def test_every_channel_answers_on_one_port(tmp_path: Path) -> None:
    """The real signatures over real HTTP; elsewhere nobody is at home."""
    async with sandbox(tmp_path) as client:
        told = []
        for ask in (
            merchant.wechat_query("order1"),
            merchant.alipay_ask("alipay.trade.query", out_trade_no="order1"),
            merchant.stripe_ask("GET", "/v1/payment_intents/pi_1"),
            merchant.Ask("GET", "/elsewhere", {}, b""),
        ):
            url = URL(client.running.base_url + ask.target, encoded=True)
            async with client.session.request(ask.method, url, data=ask.body, headers=ask.headers) as answer:
                told.append((answer.status, await answer.read()))
        assert [404, 200, 404, 404] == [status for status, _ in told]
        assert [True] * 4 == [
            word in body
            for word, (_, body) in zip(
                (b"ORDER_NOT_EXIST", b"ACQ.TRADE_NOT_EXIST", b"resource_missing", b"neither"), told, strict=True
            )
        ]


async def test_the_ledger_is_paged(tmp_path: Path) -> None:
    """In the order of opening; an empty page is the end."""
    async with sandbox(tmp_path) as client:
        for n in range(5):
            await client.open(f"order{n}")
        pages = [(await client.call("GET", f"/sandbox/ledger?offset={at}&limit=2"))[1] for at in (0, 2, 4, 6)]
        assert [["order0", "order1"], ["order2", "order3"], ["order4"], []] == [
            [trade["merchant_ref"] for trade in page] for page in pages
        ]


async def test_the_summary_adds_up(tmp_path: Path) -> None:
    """Counts and sums by channel, from the ledger."""
    async with sandbox(tmp_path) as client:
        for ref in ("order1", "order2"):
            await client.open(ref)
        _, paid = await client.act("pay")
        await client.call("POST", "/v1/refunds", payment_intent=paid["number"], amount="400")
        _, summary = await client.call("GET", "/sandbox/summary")
        mine = summary["channels"]["stripe"]
        assert (2, 1, 1250, 1, 400) == tuple(
            mine[name] for name in ("opened", "paid", "paid_minor", "refunds", "refunded_minor")
        )
        assert 2 == summary["requests"]["stripe POST payment_intents"]


async def test_faults_change_while_it_runs(tmp_path: Path) -> None:
    """PUT replaces them all; a wrong name or value is refused and changes nothing."""
    async with sandbox(tmp_path, faults=Faults(lose=0.5)) as client:
        assert (200, 1.0) == await status_and(client.call("PUT", "/sandbox/faults", {"fail": 1}), "fail")
        assert 502 == (await client.session.get(f"{client.running.base_url}/v1/events")).status
        wrong = [(await client.call("PUT", "/sandbox/faults", body))[0] for body in ({"fial": 1}, {"fail": 2})]
        assert ([400, 400], (200, 0.0)) == (wrong, await status_and(client.call("GET", "/sandbox/faults"), "lose"))


async def test_a_failing_answer_did_nothing(tmp_path: Path) -> None:
    """502, and the ledger is empty."""
    async with sandbox(tmp_path, faults=Faults(fail=1)) as client:
        answer = await client.session.post(f"{client.running.base_url}/v1/payment_intents")
        assert (502, 0) == (answer.status, len(client.running.sandbox.world.ledger))


async def test_a_hanging_answer_did_something(tmp_path: Path) -> None:
    """The merchant's patience ends, and the trade is there."""
    async with sandbox(tmp_path, patience_s=0.3, faults=Faults(hang=1)) as client:
        with pytest.raises(TimeoutError):
            await client.open()
        assert 1 == len(client.running.sandbox.world.ledger)


async def test_a_broken_answer_did_something(tmp_path: Path) -> None:
    """The connection ends in the middle of the answer, and the trade is there."""
    async with sandbox(tmp_path, faults=Faults(drop=1)) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.open()
        assert 1 == len(client.running.sandbox.world.ledger)


async def test_a_slow_answer_comes_by_the_clock(tmp_path: Path) -> None:
    """After `slow_s`, and not before."""
    clock = ManualClock(NOW)
    async with sandbox(tmp_path, clock, faults=Faults(slow=1, slow_s=4)) as client:
        opening = asyncio.create_task(client.open())
        assert 4 == await clock.until_somebody_sleeps()
        await clock.advance(3.9)
        assert not opening.done()
        await clock.advance(0.1)
        assert 200 == (await opening)[0]


async def test_buyers_come_by_the_clock(tmp_path: Path) -> None:
    """Nobody has paid before the clock moves; all have when it has moved far enough."""
    clock = ManualClock(NOW)
    async with sandbox(tmp_path, clock, buyers=Buyers(pay=1)) as client:
        await client.open()
        assert 1 == client.running.sandbox.world.buyers_waiting
        await clock.advance(300)
        _, [trade] = await client.call("GET", "/sandbox/ledger")
        assert ("paid", 0) == (trade["state"], client.running.sandbox.world.buyers_waiting)


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("pay", {"channel": "stripe", "merchant_ref": "order9"}, "has no trade"),
        ("pay", {"channel": "paypal", "merchant_ref": "order1"}, "no account paypal/main"),
        ("pay", {"channel": "stripe"}, "merchant_ref"),
        ("pay", {"channel": "stripe", "merchant_ref": "order1", "acount": "x"}, "acount"),
        ("dispute", {"channel": "stripe", "merchant_ref": "order1"}, "was not paid"),
        ("refund-fails", {"channel": "stripe", "merchant_ref": "order1", "refund_ref": "r1"}, "has no refund"),
    ],
)
async def test_the_control_api_says_what_is_wrong(tmp_path: Path, path: str, body: dict, why: str) -> None:
    """400 with a sentence that names it."""
    async with sandbox(tmp_path) as client:
        await client.open()
        status, told = await client.call("POST", f"/sandbox/{path}", body)
        assert (400, True) == (status, why in told["error"])


async def test_an_unknown_control_address_lists_the_known_ones(tmp_path: Path) -> None:
    """404, with all of them."""
    async with sandbox(tmp_path) as client:
        status, told = await client.call("GET", "/sandbox/nothing")
        assert (404, True) == (status, "POST /sandbox/pay" in told["error"])


async def test_too_much_is_refused(tmp_path: Path) -> None:
    """413 for a body beyond the bound, and the server goes on."""
    async with sandbox(tmp_path) as client:
        async with client.session.post(f"{client.running.base_url}/v1/x", data=b"x" * (MAX_BODY_BYTES + 1)) as answer:
            assert 413 == answer.status
        assert 200 == (await client.open())[0]


async def test_paidup_reads_the_accounts_it_writes(tmp_path: Path) -> None:
    """All channels, several accounts; secrets are for their owner alone."""
    async with sandbox(tmp_path, accounts=("main", "second")) as client:
        accounts = AccountsFolder(tmp_path)
        assert {(channel, name) for channel in ("wechat", "alipay", "stripe") for name in ("main", "second")} == set(
            accounts.current.by_name
        )
        one = accounts.current.by_name[("stripe", "second")]
        assert (client.running.base_url, f"{merchant.PAIDUP}/callbacks/stripe/second") == (one.base_url, one.notify_url)
    assert {0o600} == {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}


async def test_accounts_keep_apart(tmp_path: Path) -> None:
    """The second account's key opens a trade that only it can see."""
    async with sandbox(tmp_path, accounts=("main", "second")) as client:
        headers = {"authorization": f"Bearer {client.running.keys['second'].stripe.secret}"}
        form = {"amount": "50", "currency": "usd", "metadata[order]": "order1"}
        url = f"{client.running.base_url}/v1/payment_intents"
        async with client.session.post(url, data=form, headers=headers) as answer:
            number = (await answer.json())["id"]
        assert 404 == (await client.call("GET", f"/v1/payment_intents/{number}"))[0]
        assert 400 == (await client.act("pay"))[0]
        assert (200, "second") == await status_and(client.act("pay", account="second"), "account")


async def test_real_keys_are_never_overwritten(tmp_path: Path) -> None:
    """A folder whose account speaks to a real channel stops the start, and stays as it is; a sandbox's is renewed."""
    async with sandbox(tmp_path):
        pass
    async with sandbox(tmp_path):
        pass
    toml = tmp_path / "alipay" / "main" / "account.toml"
    toml.write_text('shop = "s"\n')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="no sandbox's account"):
        async with sandbox(tmp_path):
            pass
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """ConfigError with the port, instead of a traceback."""
    async with sandbox(tmp_path) as client:
        port = URL(client.running.base_url).port
        with pytest.raises(ConfigError, match=str(port)):
            async with serving(SandboxConfig(accounts_dir=tmp_path, port=port), ManualClock(NOW)):
                pass


async def test_no_secret_shows_in_a_repr(tmp_path: Path) -> None:
    """Keys end up in tracebacks."""
    async with sandbox(tmp_path) as client:
        shown = repr(client.running.keys)
        mine = client.running.keys["main"]
        hidden = (mine.stripe.secret, mine.stripe.webhook, mine.wechat.apiv3.decode())
        assert [False, False, False] == [secret in shown for secret in hidden]
        assert mine.wechat.mchid in json.dumps(shown)


async def test_half_a_request_is_not_acted_upon(tmp_path: Path) -> None:
    """The merchant dies while it sends: no number that was cut short is taken for a whole one."""
    async with sandbox(tmp_path) as client:
        where = URL(client.running.base_url)
        reader, writer = await asyncio.open_connection(where.host, where.port)
        head = f"authorization: Bearer {client.running.keys['main'].stripe.secret}\r\ncontent-length: 24\r\n"
        writer.write(f"POST /v1/payment_intents HTTP/1.1\r\nhost: x\r\n{head}\r\ncurrency=usd&amount=12".encode())
        writer.write_eof()
        assert b"" == await reader.read()
        writer.close()
        assert (200, []) == await client.call("GET", "/sandbox/ledger")
