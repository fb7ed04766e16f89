"""The books over the API: a shop's own, and only days that make sense."""

import pytest

from api_side import Api
from bill_desk import DAY, desk
from finance_side import reconciled


async def test_a_shop_reads_its_own_books(api: Api) -> None:
    """Entries that add up to zero, and closings that are the bill's; another shop's key sees none of them."""
    async with desk() as there:
        outcome = await reconciled(api.paidup.db, there, "wechat")
    theirs = await api.a_key(shop=outcome.balances[0].shop)
    path = f"/v1/books?since={DAY}&until={DAY}&account=wechat/main"
    status, found = await api.call("GET", path, key=theirs)
    assert (200, [outcome.balances[0].closing_minor]) == (status, [one["amount_minor"] for one in found["closings"]])
    assert {0} == {sum(posting["amount_minor"] for posting in entry["postings"]) for entry in found["entries"]}
    assert (200, {"entries": [], "closings": [], "opened": []}) == await api.call(
        "GET", path, key=await api.a_key(shop="another")
    )


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "give ?since= and ?until="),
        ("?since=2026-11-22", "give ?since= and ?until="),
        ("?since=2026-11-22&until=2026-11-21", "not before"),
        ("?since=2020-01-01&until=2026-11-21", "no more than 366 days"),
        ("?since=yesterday&until=2026-11-21", "a day such as"),
        ("?since=2026-11-01&until=2026-11-21&ledger=old", "`new` or left out"),
    ],
)
async def test_days_that_make_no_sense_are_refused(api: Api, query: str, says: str) -> None:
    """With what to write instead."""
    status, problem = await api.call("GET", f"/v1/books{query}")
    assert (422, True) == (status, says in problem["detail"])
