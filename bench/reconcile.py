"""How long does a day's bill take, and how much memory? Against the bare join, pandas and plain SQL in the same run.

`python -m bench reconcile` takes a million lines. For more, prepare once and measure alone:
`python -m bench.reconcile --lines 5000000 --folder /tmp/big --prepare`, then the same without --prepare.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench import bill, report
from bench.reconcile_sql import COLUMNS, found_by_sql
from bench.result import Asked, Bar, Figure, Result
from paidup.channels.bill import BillKind
from paidup.channels.wechat import WECHAT
from paidup.channels.wechat.keys import WechatAccount
from paidup.db.embedded import start_embedded
from paidup.db.migrate import migrate
from paidup.db.transaction import Database
from paidup.reconcile import bills, ours
from paidup.reconcile.match import match
from paidup.reconcile.party import Party
from paidup.reconcile.rules import Rules
from paidup.reconcile.run import reconcile
from paidup.reconcile.table import Limits, opened

LINES = 1_000_000
ROUNDS = 5
LIMITS = Limits()
RULES = Rules(fee_ppm=6000, fee_tolerance_minor=0)
_NAME = "paidup_reconcile_bench"

FOUND = "SELECT kind, count(*) AS breaks, sum(differs_minor)::bigint AS minor FROM breaks GROUP BY kind ORDER BY kind"

RAW = """SELECT count(*), sum(b.amount - o.amount) FROM (SELECT * FROM lines WHERE kind = 'payment') b
FULL JOIN payments o ON b.txn = o.txn"""


async def run(asked: Asked) -> Result:
    """On a server of its own, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="paidup-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        lines = LINES // 10 if asked.quick else LINES
        await prepare(folder, lines)
        return await measure(folder, lines)


async def prepare(folder: Path, lines: int) -> None:
    """Fill a database and write the bill; both stay in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    async with await start_embedded(folder / "data", options=_SERVER) as server:
        db = await Database.connect(server.dsn)
        await migrate(db)
        await bill.fill(db, lines)
        await db.close()
    bill.write_bill(folder / "bill.gz", lines)


_SERVER = {"shared_buffers": "512MB", "max_wal_size": "4GB", "synchronous_commit": "off"}


async def measure(folder: Path, lines: int) -> Result:
    """The whole run in a process of its own, then the parts beside their peers."""
    async with await start_embedded(folder / "data", options=_SERVER) as server:
        whole = await _whole_run(folder, server.dsn)
        db = await Database.connect(server.dsn)
        try:
            exact = await _is_exact(db, lines)
            peers, by_sql = await _peers(db, folder)
            exact = exact and by_sql == bill.expected(lines)
        finally:
            await db.close()
    return _result(lines, whole, peers, exact=exact)


async def _whole_run(folder: Path, dsn: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.reconcile", "--child", "--folder", str(folder), "--dsn", dsn,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the run ended with {process.returncode}")
    said: dict[str, Any] = msgspec.json.decode(out.splitlines()[-1])
    return said


async def child(folder: Path, dsn: str) -> None:
    """Keep the bill, then reconcile it: parse, match, breaks stored. Prints seconds and the largest resident size."""
    db = await Database.connect(dsn)
    account = msgspec.structs.replace(_account(), shop="bench")
    party = Party(WECHAT, account, RULES)
    now = bill.BEGINS
    brought = bills.Brought(
        shop="bench", channel="wechat", account="main", kind=BillKind.TRADES, day=bill.DAY, source="fetched"
    )
    with (folder / "bill.gz").open("rb") as file:
        async with db.transaction() as tx:
            await tx.execute("TRUNCATE bills, reconciliations, breaks CASCADE")
            await bills.keep(tx, brought, file, now)
    began = time.monotonic()
    outcome = await reconcile(db, party, bill.DAY, now=now, spill=folder / "spill", limits=LIMITS, who="bench")
    took_s = time.monotonic() - began
    await db.close()
    if outcome.run is None:
        raise RuntimeError(outcome.refused)
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = {"s": took_s, "rss_mb": rss_mb, "lines": outcome.run.lines, "took_ms": outcome.run.took_ms}
    print(msgspec.json.encode(said).decode())


def _account() -> Any:
    """Only whose bill it is; nothing is signed here."""
    fields = {field.name: None for field in msgspec.structs.fields(WechatAccount)}
    known = {"channel": "wechat", "name": "main", "shop": "bench", "mchid": bill.MCHID, "appid": bill.APPID}
    return WechatAccount(**{name: known.get(name, value) for name, value in fields.items()})


async def _is_exact(db: Database, lines: int) -> bool:
    async with db.session() as tx:
        found = {row["kind"]: (row["breaks"], row["minor"]) for row in await tx.fetch(FOUND)}
    wanted = bill.expected(lines)
    if found != wanted:
        print("expected", wanted, "\nfound   ", found, file=sys.stderr)
    return found == wanted


async def _peers(db: Database, folder: Path) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
    """Seconds of each on the same rows: laid by us, bare join, our match, pandas, plain SQL; and what that found."""
    took: dict[str, float] = {}
    from paidup.channels.bill import BillProof, day_in
    from paidup.channels.wechat.bill import BEIJING
    from paidup.reconcile.quick import lay_quickly
    from paidup.reconcile.quick_wechat import WechatTrades

    day = day_in(BEIJING, bill.DAY)
    with opened(folder / "spill", LIMITS) as table:
        with (folder / "bill.gz").open("rb") as file:
            lay_quickly(table, file, WechatTrades(bill.MCHID), day, BillProof())
        began = time.monotonic()
        paths = await ours.copy_day(db, "wechat", "main", *day, table.folder)
        took["copy ours"] = time.monotonic() - began
        lines = table.folder / "clean.csv"
        table.sql.execute(f"COPY (SELECT {COLUMNS} FROM lines) TO '{lines}' (HEADER false)")
        took["load ours"] = _timed(lambda: [table.add_ours(name, path) for name, path in paths.items()])
        joins, matches = [], []
        for _ in range(ROUNDS):  # taken in turns, so that what else the machine does befalls both alike
            joins.append(_timed(lambda: table.sql.execute(RAW).fetchall()))
            matches.append(_timed(lambda: match(table.sql, RULES)))
        took["bare join"], took["match"] = median(joins), median(matches)
        took["load bill"] = _timed(
            lambda: table.sql.execute(
                "CREATE TABLE again AS SELECT *, hash(txn), hash(ref, currency, amount) "
                f"FROM read_csv('{lines}', columns = {{'n': 'BIGINT', 'kind': 'VARCHAR', "
                " 'txn': 'VARCHAR', 'ref': 'VARCHAR', 'rref': 'VARCHAR', 'currency': 'VARCHAR', 'amount': 'BIGINT', "
                "'fee': 'BIGINT'}, header = false, auto_detect = false)"
            )
        )
        took["pandas"] = _timed(lambda: _pandas(lines, paths["payments"]))
        began = time.monotonic()
        by_sql = await found_by_sql(db.dsn, lines, day)
        took["plain SQL"] = time.monotonic() - began
    return took, by_sql


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _pandas(lines: Path, payments: Path) -> int:
    """Read both sides, merge them outer, keep what differs."""
    import pandas as pd

    b = pd.read_csv(lines, names=COLUMNS.split(", "), dtype=dict.fromkeys(("txn", "ref", "rref"), str))
    o = pd.read_csv(
        payments, names=["id", "txn", "ref", "currency", "amount"], dtype=dict.fromkeys(("txn", "ref"), str)
    )
    both = b[b.kind == "payment"].merge(o, on="txn", how="outer", suffixes=("", "_o"), indicator=True)
    agreed = (both.amount * 6000 + 500_000) // 1_000_000
    wrong = (both._merge != "both") | (both.amount != both.amount_o) | (both.currency != both.currency_o)
    return len(both[wrong | (both.fee != agreed) | both.duplicated("txn", keep=False)])


def _result(lines: int, whole: dict[str, Any], took: dict[str, float], *, exact: bool) -> Result:
    match_s, ours_s = took["match"], took["load bill"] + took["load ours"] + took["match"]
    single = {"unit": "s", "better": "lower"}
    names = {
        "the whole run: parse, match, breaks stored": whole["s"],
        "bare DuckDB join": took["bare join"],
        "our match": match_s,
        "load both sides and match": ours_s,
        "copy our side out of PostgreSQL before": took["copy ours"],
        "pandas: the same": took["pandas"],
        "plain SQL, our side at hand: the same typed breaks": took["plain SQL"],
    }
    figures = [Figure(name=name, rounds=[value], **single) for name, value in names.items()]  # type: ignore[arg-type]  # `single` is of Figure's own fields
    figures.append(Figure(name="largest resident size of the run", unit="MB", rounds=[whole["rss_mb"]], better="lower"))
    bars = [
        Bar(
            claim="every planted break found with exact sums, by us and by plain SQL (1: yes)",
            value=float(exact),
            at_least=1,
        ),
        Bar(claim="our match against the bare join", value=match_s / took["bare join"], at_most=2),
        Bar(claim="pandas against ours", value=took["pandas"] / ours_s, at_least=3),
        Bar(claim="plain SQL against ours", value=took["plain SQL"] / ours_s, at_least=3),
        Bar(
            claim="plain SQL against ours with our side copied out",
            value=took["plain SQL"] / (ours_s + took["copy ours"]),
            at_least=3,
        ),
        Bar(claim="resident MB", value=whole["rss_mb"], at_most=800),
    ]
    if lines >= 5_000_000:
        bars.append(Bar(claim="seconds of the whole run", value=whole["s"], at_most=20))
    steps = ", ".join(f"{name} {ms / 1000:.1f} s" for name, ms in whole["took_ms"].items())
    note = (
        f"{whole['lines']:,} lines against {lines:,} payments. Steps: {steps}. DuckDB may hold {LIMITS.memory_mb} MB."
    )
    return Result(figures=figures, bars=bars, notes=[note])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--dsn", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        asyncio.run(child(options.folder, options.dsn))
    elif options.prepare:
        asyncio.run(prepare(options.folder, options.lines))
    else:
        print(report.as_text(asyncio.run(measure(options.folder, options.lines))))


if __name__ == "__main__":
    main()
