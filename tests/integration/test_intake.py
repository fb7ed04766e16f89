"""The entrance: a success is said only after the commit, and what cannot be verified is kept, within bounds."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import asyncpg
import pytest

from kept import a_callback, count, open_cases, take_in
from merchant import Merchant
from paidup.cases import store as cases
from paidup.channels.accounts import AccountsFolder
from paidup.channels.messages import CallbackRequest
from paidup.db.flusher import Flusher
from paidup.db.transaction import Database
from paidup.errors import NotFound, OurError, Overloaded, Verdict
from paidup.intake import inbox, quarantine
from paidup.intake.receive import Receiver, headers_json, replay
from paidup.payments.payment import Payment
from paidup.testing.builders import after, paid

SOURCE = "203.0.113.7"
IDLE = asyncpg.InternalClientError("cannot switch to state 11")


# Group commit -----------------------------------------------------------------------------------------------------


class Writer:
    """Writes when told to; keeps the batches that it was given."""

    def __init__(self, fails: Callable[[Sequence[int]], BaseException | None] = lambda _: None) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.fails = fails

    async def write(self, rows: Sequence[int]) -> None:
        await self.gate.wait()
        self.batches.append(list(rows))
        if error := self.fails(rows):
            raise error


async def ready(*tasks: asyncio.Task[None]) -> list[bool]:
    """Which of them have ended, once everything that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def outcomes(tasks: Sequence[Awaitable[None]]) -> list[str]:
    """What each caller was told: "" or the kind of error."""
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(one).__name__ if one else "" for one in ended]


async def test_nobody_is_answered_before_the_commit() -> None:
    """While the write runs, all wait; when it has committed, all are answered."""
    writer = Writer()
    flusher = Flusher(writer.write, max_waiting=100)
    callers = [asyncio.create_task(flusher.put(n)) for n in range(5)]
    before = await ready(*callers)
    writer.gate.set()
    assert ([False] * 5, [""] * 5) == (before, await outcomes(callers))


async def test_a_crowd_shares_one_commit() -> None:
    """What gathered while the last commit ran is written together."""
    writer = Writer()
    flusher = Flusher(writer.write, max_waiting=100, lanes=1)
    first = asyncio.create_task(flusher.put(0))
    await ready(first)
    others = [asyncio.create_task(flusher.put(n)) for n in range(1, 20)]
    await ready(*others)
    writer.gate.set()
    await asyncio.gather(first, *others)
    assert [[0], list(range(1, 20))] == writer.batches


async def test_a_batch_has_a_cap() -> None:
    """However many gathered, none is written in too large a batch."""
    writer = Writer()
    writer.gate.set()
    flusher = Flusher(writer.write, max_waiting=100, max_batch=8, lanes=1)
    await asyncio.gather(*(flusher.put(n) for n in range(20)))
    assert [8, 8, 4] == [len(batch) for batch in writer.batches]


async def test_the_queue_is_bounded() -> None:
    """When it is full, the next caller hears so at once; those before are not harmed."""
    writer = Writer()
    flusher = Flusher(writer.write, max_waiting=3, lanes=1)
    waiting = [asyncio.create_task(flusher.put(n)) for n in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await flusher.put(3)
    writer.gate.set()
    assert [""] * 3 == await outcomes(waiting)


async def test_a_poisoned_row_fails_alone() -> None:
    """Its neighbours of the same batch are written; only its own caller hears of the error."""
    writer = Writer(lambda rows: ValueError("no such day") if 13 in rows else None)
    writer.gate.set()
    flusher = Flusher(writer.write, max_waiting=100, lanes=1)
    told = await outcomes([asyncio.create_task(flusher.put(n)) for n in range(20)])
    assert {13: "ValueError"} == {n: error for n, error in enumerate(told) if error}


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), asyncpg.InterfaceError("closed"), RuntimeError("a bug"), IDLE]
)
async def test_nobody_waits_for_ever(error: Exception) -> None:
    """The database is gone, or the code is wrong: every caller of the batch hears an error and will send again."""
    writer = Writer(lambda _: error)
    writer.gate.set()
    flusher = Flusher(writer.write, max_waiting=100, lanes=1)
    callers = [asyncio.create_task(flusher.put(n)) for n in range(5)]
    told = await outcomes(callers)
    expected = OurError if error is IDLE or isinstance(error, RuntimeError) else type(error)
    assert [expected.__name__] * 5 == told


@pytest.mark.parametrize("lanes", [1, 2])
async def test_a_caller_that_comes_again_at_once_is_served(lanes: int) -> None:
    """It puts its next row in the very step in which it hears of the last one, while the flusher is about to rest."""
    writer = Writer()
    writer.gate.set()
    flusher = Flusher(writer.write, max_waiting=100, lanes=lanes)

    async def caller() -> None:
        for n in range(5):
            await flusher.put(n)

    async with asyncio.timeout(5):
        await asyncio.gather(*(caller() for _ in range(lanes)))
    assert 5 * lanes == sum(map(len, writer.batches))


async def test_the_flusher_goes_on_after_a_failure() -> None:
    """The next caller is served as if nothing had been."""
    failures = [ConnectionResetError()]
    writer = Writer(lambda _: failures.pop() if failures else None)
    writer.gate.set()
    flusher = Flusher(writer.write, max_waiting=100)
    first = await outcomes([asyncio.create_task(flusher.put(1))])
    assert (["ConnectionResetError"], None) == (first, await flusher.put(2))


async def test_an_unforeseen_failure_does_not_strand_those_who_wait() -> None:
    """The batch that met it hears of it; those who queued behind it are written."""
    failures = [RuntimeError("a bug")]
    writer = Writer(lambda _: failures.pop() if failures else None)
    flusher = Flusher(writer.write, max_waiting=100, lanes=1)
    first = asyncio.create_task(flusher.put(1))
    await ready(first)
    second = asyncio.create_task(flusher.put(2))
    await ready(second)
    writer.gate.set()
    async with asyncio.timeout(5):
        assert ["OurError", ""] == await outcomes([first, second])


async def test_a_caller_that_left_harms_nobody() -> None:
    """It hung up while it waited; the others of its batch are answered."""
    writer = Writer()
    flusher = Flusher(writer.write, max_waiting=100, lanes=1)
    callers = [asyncio.create_task(flusher.put(n)) for n in range(3)]
    await ready(*callers)
    callers[1].cancel()
    writer.gate.set()
    assert ["", "CancelledError", ""] == await outcomes(callers)


async def test_closing_waits_for_what_was_put() -> None:
    """A stop loses nothing that somebody waits for."""
    writer = Writer()
    flusher = Flusher(writer.write, max_waiting=100)
    caller = asyncio.create_task(flusher.put(1))
    await ready(caller)
    closing = asyncio.create_task(flusher.close())
    before = await ready(closing)
    writer.gate.set()
    await asyncio.gather(caller, closing)
    assert ([False], [[1]]) == (before, writer.batches)


async def test_a_row_that_the_database_refuses_fails_alone(db: Database) -> None:
    """On a real table: the same id twice in one batch of ten; nine are durable."""

    async def write(rows: Sequence[inbox.Received]) -> None:
        async with db.transaction() as tx:
            await inbox.store(tx, rows)

    flusher = Flusher(write, max_waiting=100, lanes=1)
    rows = [a_callback(f"cbk{min(n, 8)}", paid()) for n in range(10)]
    told = await outcomes([asyncio.create_task(flusher.put(row)) for row in rows])
    stored = await count(db, "inbox"), await count(db, "inbox_queue")
    assert ([""] * 9 + ["UniqueViolationError"], (9, 9)) == (told, stored)


# The entrance -----------------------------------------------------------------------------------------------------


def an_entrance(merchant: Merchant, *, keep: int = 10, db: Database | None = None) -> Receiver:
    return Receiver(db or merchant.db, merchant.accounts, max_waiting=100, keep_per_source=keep)


async def enter(merchant: Merchant, receiver: Receiver, request: CallbackRequest, *, source: str = SOURCE) -> Verdict:
    channel = request.target.split("/")[2]
    got = await receiver.receive(request, channel, "main", source=source, now=merchant.clock.now())
    assert (200 <= got.reply.status < 300) == (got.verdict is Verdict.VALID)
    return got.verdict


async def a_paid_one(merchant: Merchant, channel: str = "wechat") -> tuple[Payment, CallbackRequest]:
    order = await merchant.order(currency="USD" if channel == "stripe" else "CNY")
    payment = await merchant.offer(order, channel)
    merchant.pay(payment)
    return payment, merchant.callbacks(payment)[0]


def forged(request: CallbackRequest, salt: int = 0) -> CallbackRequest:
    """The same with bytes that nobody signed."""
    changed = request.body.replace(b"e", b"f" if salt % 2 else b"g", 1) + b" " * salt
    return CallbackRequest(request.method, request.target, request.headers, changed)


@pytest.mark.parametrize("channel", ["wechat", "alipay", "stripe"])
async def test_a_true_callback_is_durable_and_pays(merchant: Merchant, channel: str) -> None:
    """Raw bytes and headers as they came; the intake then pays the order."""
    payment, request = await a_paid_one(merchant, channel)
    receiver = an_entrance(merchant)
    verdict = await enter(merchant, receiver, request)
    [kept] = await merchant.column("SELECT body FROM inbox")
    await merchant.take_in()
    assert (Verdict.VALID, request.body, "paid") == (verdict, kept, (await merchant.payment(payment)).state)


@pytest.mark.parametrize("channel", ["wechat", "alipay", "stripe"])
async def test_a_forged_callback_is_refused_and_kept(merchant: Merchant, channel: str) -> None:
    """It changes nothing, is answered in the channel's own form of refusal, and its bytes wait for a second look."""
    payment, request = await a_paid_one(merchant, channel)
    verdict = await enter(merchant, an_entrance(merchant), forged(request))
    rows = await count(merchant.db, "inbox"), await count(merchant.db, "quarantine")
    assert Verdict.VALID is not verdict
    assert ((0, 1), "open") == (rows, (await merchant.payment(payment)).state)


async def test_a_callback_for_nobody_is_kept_too(merchant: Merchant) -> None:
    """Perhaps we forgot to add the account; the sender hears that there is none."""
    request = CallbackRequest("POST", "/callbacks/wechat/new", (), b"{}")
    with pytest.raises(NotFound):
        await an_entrance(merchant).receive(request, "wechat", "new", source=SOURCE, now=merchant.clock.now())
    assert ["unknown_account"] == await merchant.column("SELECT verdict FROM quarantine")


async def test_quarantine_is_bounded_per_source_and_hour(merchant: Merchant) -> None:
    """A stranger's flood fills three rows an hour and takes nothing from his neighbour."""
    _, request = await a_paid_one(merchant)
    receiver = an_entrance(merchant, keep=3)
    kept = []
    for source, seconds in ((SOURCE, 0), ("203.0.113.8", 0), (SOURCE, 3600)):
        await merchant.clock.advance(seconds)
        for n in range(6):
            await enter(merchant, receiver, forged(request, n), source=source)
        kept.append(await count(merchant.db, "quarantine"))
    assert [3, 6, 9] == kept


async def test_a_flood_beyond_its_share_costs_its_crypto_and_no_database(merchant: Merchant) -> None:
    """The database is gone: of a source that has had its share each forgery is refused all the same, as nothing is
    written about it; so the good ones lose no commit to the bad ones."""
    _, request = await a_paid_one(merchant)
    gone = await Database.connect(merchant.db.dsn)
    await gone.close()
    receiver = an_entrance(merchant, keep=0, db=gone)
    verdicts = {await enter(merchant, receiver, forged(request, n)) for n in range(300)}
    assert ({Verdict.INVALID_SIGNATURE}, 300) == (verdicts, receiver.counts["wechat", Verdict.INVALID_SIGNATURE])
    with pytest.raises(asyncpg.InterfaceError):
        await enter(merchant, receiver, request)


async def test_what_authorizes_is_not_kept() -> None:
    """Everything else stands there as it came, in order."""
    headers = (("x-a", "1"), ("authorization", "Basic c2VjcmV0"), ("x-a", "2"), ("cookie", "s=secret"))
    kept = headers_json(CallbackRequest("POST", "/", headers, b""))
    assert '[["x-a","1"],["authorization","***"],["x-a","2"],["cookie","***"]]' == kept


async def test_a_full_entrance_says_so_and_keeps_nothing(merchant: Merchant) -> None:
    """The sender gets 503 and tries again: nothing was promised."""
    _, request = await a_paid_one(merchant)
    receiver = Receiver(merchant.db, merchant.accounts, max_waiting=0, keep_per_source=3)
    with pytest.raises(Overloaded):
        await enter(merchant, receiver, request)
    assert 0 == await count(merchant.db, "inbox")


async def test_without_a_database_nothing_is_acknowledged(merchant: Merchant) -> None:
    """The caller gets an error instead of a success; the channel will send it again."""
    _, request = await a_paid_one(merchant)
    gone = await Database.connect(merchant.db.dsn)
    await gone.close()
    with pytest.raises(asyncpg.InterfaceError):
        await enter(merchant, an_entrance(merchant, db=gone), request)


async def test_a_replay_with_the_key_still_wrong_changes_nothing(merchant: Merchant, tmp_path: Path) -> None:
    """It says so, and can be tried again; with the key mended it enters the inbox once per replay, and pays once."""
    payment, request = await a_paid_one(merchant, "stripe")
    secret = shutil.copytree(merchant.folder / "stripe", tmp_path / "stripe") / "main" / "webhook.secret"
    right = secret.read_bytes()
    secret.write_bytes(b"whsec_b2xk")
    merchant.accounts = AccountsFolder(tmp_path)
    await enter(merchant, an_entrance(merchant), request)
    verdicts = []
    for key in (b"whsec_b2xk", right, right):
        secret.write_bytes(key)
        merchant.accounts.refresh()
        await merchant.clock.advance(86400)
        async with merchant.db.transaction() as tx:
            [row] = await quarantine.page(tx, None, 10, with_replayed=True)
            kept = await quarantine.get(tx, row["id"])
            assert kept is not None
            verdicts.append(await replay(tx, kept, merchant.accounts, merchant.clock.now()))
    await merchant.take_in()
    assert [Verdict.INVALID_SIGNATURE, Verdict.VALID, Verdict.VALID] == verdicts
    assert 1 == await count(merchant.db, "events", f"type = 'payment.paid' AND subject_id = '{payment.id}'")


async def test_a_poisoned_callback_is_replayed_by_hand(db: Database) -> None:
    """After the cause is mended it goes to the door again with all its attempts; a settled one does not."""
    async with db.transaction() as tx:
        await inbox.store(tx, [a_callback("cbk1", paid())])
        await tx.execute("UPDATE inbox_queue SET state = 'poisoned', attempts = 5")
    poisoned = await take_in(db)
    async with db.transaction() as tx:
        replayed = [await inbox.replay(tx, name, after(60)) for name in ("cbk1", "cbk2")]
    assert (0, [True, False], 1) == (poisoned, replayed, await take_in(db, 60))


async def test_who_resolves_an_unknown_payment_is_not_asked_again(db: Database) -> None:
    """The callback keeps waiting for its payment, silently: a person has decided."""
    async with db.transaction() as tx:
        await inbox.store(tx, [a_callback("cbk1", paid())])
    for seconds in (40, 2000):
        await take_in(db, seconds)
    async with db.transaction() as tx:
        [case] = await cases.page(tx, None, 10, with_resolved=False)
        await cases.resolve(tx, case.id, "a test of the bank", after(2100))
    await take_in(db, 90_000)
    assert ([], 1) == (await open_cases(db), await count(db, "inbox_queue", "state = 'parked'"))
