"""Hostile words in every text field: they are kept and shown as text, and can speak neither to the database, nor to a
terminal, nor begin a log line of their own."""

import asyncio
import io
import json
import logging
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import click.testing
import pytest
from hypothesis import given
from mutants import NASTY_TEXTS, nasty_text, tries

from api_side import ORDER, Api
from paidup import log
from paidup.cli import cli
from paidup.cli.output import emit, emit_json
from paidup.web.api import ROUTES
from paidup.web.openapi import document

SPEAKS = [text for text in NASTY_TEXTS if text and not text.isprintable()] + [
    "a\u2029b",
    "\x85",
    "\U000e0041",
    "\u200f\u061c",
]
WORDS = (
    "'; DROP TABLE orders; --", "\" OR ''='", "$1", "%s%n", "{0.__class__}", "[/red]", "[link=x]", "<script>", "\\",
    "💰", "${x}", "a'||pg_sleep(9)||'",
)  # fmt: skip


@pytest.fixture
def lines() -> Iterator[Callable[[], list[str]]]:
    """What our log wrote, in both of its forms, cut where any reader might cut it."""
    streams = (io.StringIO(), Terminal())
    handlers = []
    logger = logging.getLogger("paidup")
    for stream in streams:
        log.set_up(stream)
        handlers += logger.handlers
    logger.handlers = handlers
    yield lambda: [line for stream in streams for line in stream.getvalue().splitlines()]
    log.set_up()
    logger.propagate, logger.handlers = True, []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def without_blanks(line: str) -> str:
    """Blanks of any width are printed, and do nothing else, though Python counts only one of them as printable."""
    return "".join(character for character in line if unicodedata.category(character) != "Zs")


@pytest.mark.fuzz
def test_a_log_line_stays_one_line(lines: Callable[[], list[str]]) -> None:
    """Any value in any field makes one line that a terminal prints and does not obey, and the JSON says the same."""

    @tries(120)
    @given(nasty_text(), nasty_text())
    def holds(why: str, name: str) -> None:
        before = len(lines())
        log.warning("callback.refused", why=why, names={name: [name]}, account=f"wechat/{name}")
        as_json, shown = lines()[before // 2], lines()[-1]
        assert before + 2 == len(lines())
        assert [] == [line for line in (as_json, shown) if not without_blanks(line).isprintable()]
        assert log.masked("why", why) == json.loads(as_json)["why"]

    holds()


@pytest.mark.parametrize("text", SPEAKS, ids=ascii)
def test_what_would_speak_to_a_terminal_is_shown_as_an_escape(text: str) -> None:
    """In JSON the escape stands for the same text; nothing of it is left that is not printable."""
    shown = log.one_line(json.dumps(text, ensure_ascii=False))
    assert (True, text) == (shown.isprintable(), json.loads(shown))


async def test_words_are_kept_and_shown_as_text(api: Api) -> None:
    """What SQL, a formatter, a shell or rich might obey comes back from the API letter by letter."""
    for n, word in enumerate(WORDS):
        placed = ORDER | {"shop_order_no": f"{word}{n}", "description": word}
        status, order = await api.call("POST", "/v1/orders", placed)
        _, found = await api.call("GET", f"/v1/orders/{order['id']}")
        assert (201, word, f"{word}{n}") == (status, found["description"], found["shop_order_no"]), word
        _, closed = await api.call("POST", f"/v1/orders/{order['id']}/close", {"reason": word}, once=f"{n}")
        url = aiohttp.client.URL(f"{api.url}/v1/orders").with_query({"shop_order_no": f"{word}{n}"})
        async with api.session.get(url, headers={"authorization": f"Bearer {api.key}"}) as answer:
            assert ([order["id"]], "closed") == ([o["id"] for o in (await answer.json())["items"]], closed["state"]), (
                word
            )


def _single_line_fields() -> Iterator[tuple[str, str, str]]:
    """(method, path, field) of every text in a body that has a pattern and is no free text of several lines."""
    made = document(ROUTES)
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            for field, schema in made["components"]["schemas"].get(name, {}).get("properties", {}).items():
                patterns = [kind.get("pattern", "") for kind in schema.get("anyOf", [schema])]
                if any("x00-" in pattern or "A-Z" in pattern for pattern in patterns):
                    yield method.upper(), path, field


async def test_a_line_keeps_no_line_end(api: Api) -> None:
    """Each field of one line refuses control characters wherever they stand, the very end included."""
    fields = list(_single_line_fields())
    assert 15 < len(fields)
    for method, path, field in fields:
        for text in ("tea\n", "tea\r\n", "\x1b[2J", "a\nb", "tea\x7f", "\x00"):
            status, problem = await api.call(method, path.replace("{id}", "x"), {field: text}, once="one-line")
            pointed = [flaw["pointer"] for flaw in problem.get("errors", [])]
            assert (422, True) == (status, f"#/{field}" in pointed or "missing" in problem["detail"]), (
                path,
                field,
                problem,
            )


async def test_a_header_is_text(api: Api) -> None:
    """Hostile hosts, keys and agents: answered like any other request; none of them chooses a path or a statement."""
    for name in ("host", "idempotency-key", "user-agent", "x-forwarded-for", "x-forwarded-host", "forwarded", "accept"):
        for value in (
            "[",
            "a b",
            "x/v1/cases?",
            "evil.example/../..",
            "'; DROP TABLE orders; --",
            "\u00e9\u00ff",
            "%0d%0a",
            "1" * 250,
        ):
            got = await _placed_with(api, {name: value})
            assert got in (201, 400, 422), (name, value, got)
    async with api.paidup.db.session() as tx:
        assert 1 <= await tx.fetchval("SELECT count(*) FROM orders")


async def _placed_with(api: Api, headers: dict[str, str]) -> int:
    sent = {"authorization": f"Bearer {api.key}", "idempotency-key": f"h-{sorted(headers.items())}"[:80]} | headers
    body = json.dumps(ORDER | {"shop_order_no": "H-1"}).encode()
    async with api.session.post(f"{api.url}/v1/orders", data=body, headers=sent) as answer:
        await answer.read()
        return answer.status


async def test_the_host_header_does_not_choose_what_a_key_stands_for(api: Api) -> None:
    """The same request under the same key from two hosts is the same request."""
    body = json.dumps(ORDER | {"shop_order_no": "H-2"}).encode()
    got = []
    for host in ("a.example", "b.example/v1/evidence?"):
        headers = {"authorization": f"Bearer {api.key}", "idempotency-key": "host", "host": host}
        async with api.session.post(f"{api.url}/v1/orders", data=body, headers=headers) as answer:
            got.append(
                (answer.status, answer.headers.get("idempotent-replayed"), json.loads(await answer.read())["id"])
            )
    assert ((201, None), (201, "true"), got[0][2]) == (got[0][:2], got[1][:2], got[1][2])


EXTREME = ("0001-01-01T00:00:00+14:00_x", "9999-12-31T23:59:59-14:00_x", "1999-12-31T00:00:00+00:00_x")


async def test_a_cursor_beyond_the_calendar_is_refused(api: Api) -> None:
    """Times that no database can turn into UTC are nobody's `next`."""
    for cursor in EXTREME:
        url = aiohttp.client.URL(f"{api.url}/v1/events").with_query({"after": cursor})
        async with api.session.get(url, headers={"authorization": f"Bearer {api.key}"}) as answer:
            assert 422 == answer.status, cursor


async def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(api: Api) -> None:
    """405 with Allow (RFC 9110, 15.5.6)."""
    async with api.session.delete(f"{api.url}/v1/payments/pay1") as answer:
        assert (405, {"GET", "HEAD"}) == (answer.status, set(answer.headers["allow"].replace(" ", "").split(",")))


@pytest.mark.parametrize("text", [*WORDS, *SPEAKS], ids=ascii)
def test_a_table_on_a_terminal_shows_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`paidup … list` of hostile words: no markup is obeyed, nothing unprintable comes out; --json is exact."""
    emit([{"why": text, "id": "cas1"}], as_json=False)
    table = capsys.readouterr().out
    emit_json([{"why": text}])
    whole = capsys.readouterr().out
    assert [] == [line for line in (table + whole).split("\n") if not line.isprintable()]
    assert [{"why": text}] == json.loads(whole)
    assert log.one_line(text).split()[0] in table


async def test_the_life_of_a_hostile_order_can_be_read_aloud(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """`paidup trace` and `paidup cases` show what shops and channels wrote, whatever it was, and end well."""
    monkeypatch.setenv("PAIDUP_DATABASE_URL", api.paidup.settings.database_url)
    for n, word in enumerate(("[/red]", "[bold]", "\u202egpj", "\x9b2J")):
        await api.call("POST", "/v1/orders", ORDER | {"shop_order_no": f"T-{n}{word}"[:40]})
        traced = ["trace", f"T-{n}{word}"]
        for args in (traced, [*traced, "--json"], ["cases", "list"], ["payments", "list"]):
            ran = await asyncio.to_thread(run_quietly, args)
            assert ran.exception is None or isinstance(ran.exception, SystemExit), (args, ran.exception)
            assert [] == [line for line in ran.output.split("\n") if not line.isprintable()]


def run_quietly(args: list[str]) -> Any:
    return click.testing.CliRunner().invoke(cli, args)
