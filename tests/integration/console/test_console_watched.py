"""What is watched: a list of its own, the next question first, the same in console, API and command line."""

import asyncio
import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from api_side import Api
from console_side import signed_in
from paidup.cli import cli
from paidup.console import watched as its_page
from paidup.errors import InvalidRequest
from paidup.hand import watched


async def three(api: Api) -> list[str]:
    """Payments, of which the third is asked about first; the first is late."""
    ids = [(await api.an_open_payment(f"W-{n}"))["id"] for n in range(3)]
    late = api.paidup.clock.now() - its_page.OVERDUE
    async with api.paidup.db.transaction() as tx:
        for n, due_at in enumerate([late + timedelta(hours=2), late + timedelta(hours=1), late - timedelta(minutes=1)]):
            await tx.execute("UPDATE due SET due_at = $2 WHERE subject_id = $1", ids[n], due_at)
    return ids[::-1]


async def test_pages_go_on_where_the_last_one_ended(api: Api) -> None:
    """Also among rows of the same moment; what is asked about meanwhile comes again, and nothing is left out."""
    ids = await three(api)
    async with api.paidup.db.session() as tx:
        await tx.execute("UPDATE due SET due_at = (SELECT max(due_at) FROM due) WHERE subject_id <> $1", ids[0])
        first = await watched.page(tx, 2)
        rest = await watched.page(tx, 2, after=first[-1].mark)
        same_moment = sorted(ids[1:])
        assert ([ids[0], *same_moment], 1) == ([row.subject_id for row in (*first, *rest)], len(rest))
        assert [] == await watched.page(tx, 2, channel="stripe")
        assert [] == await watched.page(tx, 2, account="other")


@pytest.mark.parametrize("mark", ["x", "20261301T000000.0~pay1", "~", "\x00"])
def test_a_mark_that_is_none_is_refused(mark: str) -> None:
    """And not taken for the beginning."""
    with pytest.raises(InvalidRequest, match="no mark"):
        watched.read_mark(mark)


async def test_the_page_shows_them_in_both_languages(api: Api) -> None:
    """From the home page's figure; by account; and what is late by itself."""
    await three(api)
    async with signed_in(api) as browser:
        home, whole, late, other = [
            (await browser.get(path)).text
            for path in ("/", "/watched", "/watched?late=yes", "/watched?channel=wechat&account=other")
        ]
        await browser.post("/prefer", {"language": "zh"})
        chinese = (await browser.get("/watched")).text
    assert ('href="/console/watched"' in home, "/watched?late=yes" in home) == (True, True)
    places = [whole.index(f"W-{n}") for n in (2, 1, 0)]
    assert sorted(places) == places
    assert [(3, 1, 0)] == [tuple(page.count("/console/orders/ord") for page in (whole, late, other))]
    assert ("asked 0 times" in whole, "已查 0 次" in chinese, "nothing is watched" in other.lower()) == (True,) * 3


async def test_half_an_address_is_an_address(api: Api) -> None:
    """All accounts of a channel, or those of one name; where nothing is watched, nothing is said of the others."""
    await three(api)
    async with signed_in(api) as browser:
        pages = [await browser.get(f"/watched?{half}") for half in ("channel=wechat", "account=main", "channel=stripe")]
    assert [(200, 3), (200, 3), (200, 0)] == [(page.status, page.text.count("/console/orders/ord")) for page in pages]
    assert "every payment and refund is settled" not in pages[-1].text


async def test_the_api_and_the_command_line_show_the_same(api: Api) -> None:
    """Page by page; another shop sees nothing, and a broken mark is refused."""
    ids = await three(api)
    _, first = await api.call("GET", "/v1/watched?limit=2&channel=wechat")
    _, rest = await api.call("GET", f"/v1/watched?limit=2&channel=wechat&after={first['next']}")
    assert ids == [item["subject_id"] for item in (*first["items"], *rest["items"])]
    assert None is rest["next"]
    other = await api.a_key(shop="other")
    assert [] == (await api.call("GET", "/v1/watched", key=other))[1]["items"]
    assert 422 == (await api.call("GET", "/v1/watched?after=rubbish"))[0]
    words = ["repair", "watched", "--after", first["next"], "--json"]
    ran = await asyncio.to_thread(CliRunner().invoke, cli, words, env=api.env)
    assert ids[2:] == [row["subject_id"] for row in json.loads(ran.stdout)], ran.output
