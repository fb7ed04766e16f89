"""A corrected bill is the only one that counts: what the version before left in balances and books is taken back."""

import io
from datetime import date, timedelta

import pytest

from paidup.channels.bill import BillKind
from paidup.db.transaction import Database
from paidup.finance.books import read_books
from paidup.finance.entries import Chart
from paidup.orders.order import LatePayment
from paidup.reconcile import bills, runs
from paidup.reconcile.run import reconcile
from paidup.shops import store as shops
from upload_side import BANK, DAY, LIMITS, NOW, a_party

SHOP = "teahouse"
NEXT = DAY + timedelta(days=1)
MAPPING = BANK.replace('currency = "CNY"\n', "").replace("[columns]\n", '[columns]\ncurrency = "cur"\n')


async def laid(db: Database, day: date, nth: int, *lines: str) -> None:
    """The n-th bill that is brought, with these lines: order, amount, currency."""
    rows = [f"{day} 12:00:00,{line}" for line in lines]
    content = "\n".join(["time,order,amount,cur", *rows, f"total,{len(rows)},,", ""]).encode()
    now, party = NOW + timedelta(hours=nth), a_party(SHOP)
    brought = bills.Brought(
        shop=SHOP, channel="wechat", account="main", kind=BillKind.TRADES, day=day, source="uploaded", mapping=MAPPING,
        file_name="bill",
    )  # fmt: skip
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, now)
        await bills.keep(tx, brought, io.BytesIO(content), now)
    outcome = await reconcile(db, party, day, now=now, spill=None, limits=LIMITS, who="test")
    assert outcome.run is not None, outcome.refused


@pytest.mark.parametrize(
    ("corrected", "lies"),
    [
        (["A-1,12.50,CNY", "A-2,100.00,CNY"], {"CNY": 11_250}),
        ([], {}),
    ],
)
async def test_a_corrected_bill_takes_the_balance_of_another_currency_back(
    db: Database, corrected: list[str], lies: dict[str, int]
) -> None:
    """The first version has 100 USD by mistake, the next day 5 more; the corrected one has none, or no line at all. No
    USD lay there on the first day, and 5 do on the next; the books close with the same."""
    await laid(db, DAY, 0, "A-1,12.50,CNY", "A-2,100.00,USD")
    await laid(db, NEXT, 1, "B-1,5.00,USD")
    await laid(db, DAY, 2, *corrected)
    async with db.session() as tx:
        first = await runs.page_of_balances(tx, SHOP, 10, since=DAY, until=DAY)
        second = await runs.page_of_balances(tx, SHOP, 10, since=NEXT, until=NEXT)
        journal = await read_books(tx, Chart(), SHOP, DAY, NEXT, NEXT + timedelta(days=1))
    assert lies == {one.currency: one.closing_minor for one in first}
    assert [("USD", 0, 500)] == [(one.currency, one.opening_minor, one.closing_minor) for one in second]
    posted = [(e.currency, p.amount_minor) for e in journal.entries for p in e.postings if ":Wechat:" in p.account]
    assert lies | {"USD": 500} == {code: sum(minor for its, minor in posted if its == code) for code, _ in posted}
