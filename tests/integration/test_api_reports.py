"""The day's and the month's report over the API: a shop's own, as JSON and as files, the figures of the run."""

import pytest

from api_side import Api
from bill_desk import DAY, desk
from finance_side import reconciled

DAY_OF = f"/v1/reports/day?account=stripe/main&day={DAY}"
MONTH_OF = f"/v1/reports/month?month={DAY:%Y-%m}"


async def file(api: Api, path: str, key: str) -> tuple[int, bytes, str]:
    headers = {"authorization": f"Bearer {key}"}
    async with api.session.get(api.url + path, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers.get("content-disposition", "")


async def test_a_shop_reads_its_days_and_months(api: Api) -> None:
    """Both sides, balances, breaks and what is missing, with the run's own figures; another shop's key sees nothing."""
    async with desk() as there:
        outcome = await reconciled(api.paidup.db, there, "stripe", missing=0.4)
    (balance,) = outcome.balances
    theirs, others = await api.a_key(shop=balance.shop), await api.a_key(shop="another")
    status, day = await api.call("GET", DAY_OF, key=theirs)
    assert (200, False, len(outcome.changes)) == (status, day["agrees"], day["unsettled"])
    assert outcome.run is not None
    assert (outcome.run.id, outcome.run.bill_id, [balance.closing_minor], "sound") == (
        day["run"]["id"], day["bill"]["id"], [one["closing_minor"] for one in day["balances"]], day["bill"]["state"],
    )  # fmt: skip
    assert {one["id"] for one in day["breaks"]} == {change.after.id for change in outcome.changes}
    status, month = await api.call("GET", MONTH_OF, key=theirs)
    assert (200, [outcome.run.id]) == (status, [one["id"] for one in month["days"]])
    (missing,) = month["missing"]
    assert [f"2026-11-{n:02}" for n in range(1, 22)] == missing["days"][:21]
    assert str(DAY) not in missing["days"]
    assert sum(one["breaks"] for one in month["tallies"]) == len(outcome.changes)
    assert 404 == (await api.call("GET", DAY_OF, key=others))[0]
    assert [] == (await api.call("GET", MONTH_OF, key=others))[1]["days"]


async def test_reports_are_given_as_files(api: Api) -> None:
    """HTML and Excel in both languages, under a name of their own; another shop's key gets no file of the day."""
    async with desk() as there:
        outcome = await reconciled(api.paidup.db, there, "stripe")
    theirs, others = await api.a_key(shop=outcome.balances[0].shop), await api.a_key(shop="another")
    day, month = DAY_OF.replace("/day?", "/day/file?"), MONTH_OF.replace("/month?", "/month/file?")
    status, page, named = await file(api, f"{day}&form=html&language=zh", theirs)
    assert (200, True, f'attachment; filename="stripe-main-{DAY}.zh.html"') == (
        status, "账单与我方账务完全一致" in page.decode(), named,
    )  # fmt: skip
    status, page, _ = await file(api, f"{month}&form=html&account=stripe/main", theirs)
    assert (200, True) == (status, f"{outcome.balances[0].closing_minor / 100:,.2f}" in page.decode())
    for path in (day, month):
        status, book, named = await file(api, f"{path}&form=xlsx", theirs)
        assert (200, b"PK\x03\x04", True) == (status, book[:4], named.endswith('.en.xlsx"'))
    assert 404 == (await file(api, f"{day}&form=html", others))[0]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v1/reports/day", "give ?account= and ?day="),
        ("/v1/reports/day?account=stripe&day=2026-11-22", "channel/account"),
        ("/v1/reports/day?account=stripe/main&day=22", "a day such as"),
        ("/v1/reports/month", "write the month as 2026-11"),
        ("/v1/reports/month?month=2026-13", "write the month as 2026-11"),
        ("/v1/reports/month?month=9999-12", "write the month as 2026-11"),
        ("/v1/reports/month/file?month=2026-11", "?form= is one of html, xlsx"),
        ("/v1/reports/day/file?account=stripe/main&day=2026-11-22&form=html&language=fr", "?language= is one of"),
    ],
)
async def test_what_makes_no_sense_is_refused(api: Api, path: str, says: str) -> None:
    """With what to write instead."""
    status, problem = await api.call("GET", path)
    assert (422, True) == (status, says in problem["detail"]), problem
