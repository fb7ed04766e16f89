"""The books as text for other programs: beancount, ledger (and hledger), or CSV for a spreadsheet. Pure."""

import csv
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

from paidup.finance.amounts import plain
from paidup.finance.entries import Entry, Journal
from paidup.finance.words import Language, word

_WIDTH = 48


def beancount(journal: Journal) -> Iterator[str]:
    """Lines of a beancount file. Its balance assertions prove that the channel's accounts close as the bills say."""
    days = [*(one.day for one in journal.entries), *(one.day for one in journal.closings)]
    if not days:
        return
    first = min(days)
    for account in journal.opened:
        yield f"{first} open {account}"
    for entry in journal.entries:
        yield f'\n{entry.day} * "{_quiet(entry.what)}"'
        yield from _postings(entry)
    yield ""
    for one in journal.closings:  # beancount's assertions hold at the beginning of a day
        amount = plain(one.amount_minor, one.currency)
        yield f"{one.day + timedelta(days=1)} balance {one.account:<{_WIDTH}} {amount:>16} {one.currency}"


def ledger(journal: Journal) -> Iterator[str]:
    """Lines of a journal for ledger and hledger, with a balance assertion behind each day."""
    closings = {(one.day, one.account, one.currency): one.amount_minor for one in journal.closings}
    last = {
        (entry.day, posting.account, entry.currency): n
        for n, entry in enumerate(journal.entries)
        for posting in entry.postings
    }
    for n, entry in enumerate(journal.entries):
        yield f"{entry.day} * {_quiet(entry.what)}"
        for posting in entry.postings:
            key = (entry.day, posting.account, entry.currency)
            amount = plain(posting.amount_minor, entry.currency)
            proof = (
                f" = {plain(closings[key], entry.currency)} {entry.currency}"
                if key in closings and last[key] == n
                else ""
            )
            yield f"    {posting.account:<{_WIDTH}}  {amount:>16} {entry.currency}{proof}"
        yield ""


def sheet(journal: Journal, language: Language) -> Iterator[str]:
    """Lines of a CSV file: one posting each, debit (借) and credit (贷) in columns of their own."""
    names = ("date", "entry", "book account", "debit", "credit", "currency")
    yield _row([word(language, name) for name in names])
    for entry in journal.entries:
        for posting in entry.postings:
            amount = plain(abs(posting.amount_minor), entry.currency)
            sides = (amount, "") if posting.amount_minor > 0 else ("", amount)
            yield _row([entry.day.isoformat(), entry.what, posting.account, *sides, entry.currency])


def _postings(entry: Entry) -> Iterator[str]:
    for posting in entry.postings:
        yield f"  {posting.account:<{_WIDTH}} {plain(posting.amount_minor, entry.currency):>16} {entry.currency}"


def _quiet(text: str) -> str:
    """Without what would end a string or a line; accounts are named by whoever runs Paidup."""
    return "".join(c if c.isprintable() and c not in '";|' else " " for c in text)


def _row(cells: list[str]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()
