"""The whole entrance under hostile requests: an answer comes each time, and only what was verified is in the inbox."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from entrance import KEPT_PER_SOURCE, MAX_BYTES, Entrance, running, scope_of
from hypothesis import given
from hypothesis import strategies as st
from mutants import nasty_text, spoiled, tries
from speakers import Speaker, speakers

from paidup.channels.messages import CallbackRequest
from paidup.intake.receive import Receiver

REFUSALS = {400, 401, 404, 405, 408, 413, 431}
PATHS = (
    "/callbacks/%00/main", "/callbacks/stripe/%00", "/callbacks/stripe/\x00", "/callbacks/%2500/x",
    "/callbacks/stripe/%0d%0a", "/callbacks/%2e%2e/main", "/callbacks/../main", "/callbacks//main",
    "/callbacks/stripe/", "/callbacks/", "/callbacks/a/b/c", "/callbacks/STRIPE/main", "/callbacks/stripe/main ",
    "/callbacks/stripe/" + "m" * 5000, "/callbacks/💰/main", "/callbacks/stripe/\udc80",
    "/callbacks/stripe/ma\u202ein", "/callbacks/stripe/main;x", "/callbacks/%73tripe/main",
)  # fmt: skip
METHODS = (*["POST"] * 12, "GET", "PUT", "HEAD", "OPTIONS", "post", "PÖST", "", "CONNECT")
LENGTHS = (b"0", b"-1", b"5", b"99999999", b"9" * 5000, b"1e3", b"\xd9\xa3", b"", b"5, 5", b" 5")


Here = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine in the test's loop, and waits for it."""


@pytest.fixture
async def entrance(db_dsn: str, tmp_path: Path) -> AsyncIterator[Entrance]:
    async with running(db_dsn, tmp_path) as entrance:
        yield entrance


async def beside(claim: Callable[[Here], None]) -> None:
    """Run a claim of hypothesis in a thread beside this loop."""
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(claim, lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result())


def messages(data: st.DataObject, body: bytes) -> list[dict[str, Any]]:
    """A body as servers hand it over: in pieces, with empty ones between, or broken off."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=3)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    made: list[dict[str, Any]] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if data.draw(st.integers(0, 9)):
        made.append(data.draw(st.sampled_from(({"type": "http.request"}, {"type": "http.request", "body": b""}))))
    return made


@pytest.mark.fuzz
@pytest.mark.parametrize("speaker", speakers(), ids=lambda speaker: speaker.name)
async def test_what_is_stored_was_verified_and_what_was_not_is_refused(entrance: Entrance, speaker: Speaker) -> None:
    """Spoiled callbacks over the whole route: 2xx means one more row in the inbox, anything else means none."""

    def claim(here: Here) -> None:
        @tries(40)
        @given(st.sampled_from(speaker.honest), st.booleans(), st.data())
        def holds(honest: CallbackRequest, whole: bool, data: st.DataObject) -> None:
            body = honest.body if whole else data.draw(spoiled(honest.body))
            before = here(entrance.count("inbox"))
            answer = here(entrance.call(scope_of(honest), messages(data, body)))
            stored = here(entrance.count("inbox")) - before
            assert (stored, answer.status in REFUSALS) in ((1, False), (0, True)), answer
            assert int(answer.headers["content-length"]) == len(answer.body) < 1000

        holds()

    await beside(claim)
    assert KEPT_PER_SOURCE >= await entrance.count("quarantine")


@pytest.mark.fuzz
async def test_any_request_gets_a_plain_refusal(entrance: Entrance) -> None:
    """Methods, paths, header names, values and lengths of any kind: one of the documented statuses, and no raise."""
    header = st.tuples(
        st.sampled_from((b"content-length", b"stripe-signature", b"content-type", b"\xff\x00", b""))
        | st.binary(max_size=9),
        st.sampled_from(LENGTHS) | st.binary(max_size=60),
    )
    floods = st.sampled_from(([(b"x", b"y")] * 150, [(b"x", b"y" * 20_000)], [(b"stripe-signature", b"t=1,v1=0")] * 2))

    def claim(here: Here) -> None:
        @tries(150)
        @given(
            st.sampled_from(METHODS),
            st.sampled_from(PATHS) | nasty_text().map("/callbacks/{}".format) | st.just("/callbacks/stripe/main"),
            st.lists(header, max_size=6) | floods,
            st.binary(max_size=60) | st.just(b"x" * (MAX_BYTES + 1)),
            st.data(),
        )
        def holds(method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes, data: st.DataObject) -> None:
            scope = scope_of(CallbackRequest(method, path.encode("utf-8", "replace").decode(), (), b"")) | {
                "path": path, "headers": headers, "query_string": data.draw(st.binary(max_size=20)),
                "client": data.draw(st.sampled_from((None, ("198.51.100.7", 1), ("\x00", 2)))),
            }  # fmt: skip
            answer = here(entrance.call(scope, messages(data, body)))
            assert answer.status in REFUSALS, (path, answer)

        holds()

    await beside(claim)
    assert 0 == await entrance.count("inbox")


async def test_a_stranger_learns_no_account(entrance: Entrance) -> None:
    """A refusal names none of the accounts that there are."""
    asked = [CallbackRequest("POST", f"/callbacks/{path}", (), b"{}") for path in ("stripe/other", "nobody/x", "%00/x")]
    answers = [await entrance.post(request) for request in asked]
    assert [404, 404, 404] == [answer.status for answer in answers]
    assert [] == [answer.body for answer in answers if b"main" in answer.body or b"wechat" in answer.body]


async def test_an_unprintable_address_is_not_kept(entrance: Entrance, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has such an account: 404, no row in quarantine, and no line in the log that calls for help."""
    for path in PATHS[:-1]:  # the last is another way to write a real one
        scope = scope_of(CallbackRequest("POST", "/callbacks/x/y", (), b"{}")) | {"path": path}
        assert 404 == (await entrance.call(scope, [{"type": "http.request", "body": b"{}"}])).status, path
    assert [] == [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    async with entrance.paidup.db.session() as tx:
        kept = {row["account"] for row in await tx.fetch("SELECT account FROM quarantine")}
    assert [] == [account for account in kept if not account.isprintable()]


async def test_the_quarantine_is_bounded_for_all_sources_together(entrance: Entrance) -> None:
    """Whoever sends each forgery from another address fills an hour's share, and not the disk."""
    paidup, request = entrance.paidup, CallbackRequest("POST", "/callbacks/stripe/main", (), b"x" * 8000)
    receiver = Receiver(paidup.db, paidup.accounts, max_waiting=100, keep_per_source=100, keep_bytes=85_000)
    for n in range(30):
        await receiver.receive(request, "stripe", "main", source=f"2001:db8::{n:x}", now=paidup.clock.now())
    assert 10 == await entrance.count("quarantine")
