"""What every command shares: `--json`, tables for people, and a database for the length of one command."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from paidup.db.migrate import pending
from paidup.db.open import open_database
from paidup.db.transaction import Database
from paidup.errors import ConfigError
from paidup.log import one_line
from paidup.settings import Settings, load

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="machine-readable output")
json_anyway = click.option("--json", is_flag=True, expose_value=False, help="what it prints anyway")
limit_option = click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))


def run(work: Callable[[Database, Settings], Awaitable[T]]) -> T:
    """Run a command's work against the database of the settings. Raises ConfigError when it is not migrated."""

    async def with_database() -> T:
        settings = load()
        async with connected(settings) as db:
            return await work(db, settings)

    return asyncio.run(with_database())


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Database]:
    """The migrated database of the settings."""
    async with open_database(settings) as db:
        missing = await pending(db)
        if missing:
            raise ConfigError(f"migrations are missing ({', '.join(missing)}): run `paidup db migrate`")
        yield db


def emit(rows: Sequence[Mapping[str, object]], *, as_json: bool, empty: str = "nothing") -> None:
    """Rows to stdout: a JSON array, or a table; `empty` is said on stderr when there are none."""
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def emit_json(value: object) -> None:
    """Any value as one JSON document on stdout."""
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2).decode()
    click.echo("\n".join(map(one_line, text.split("\n"))))


def done(text: str, value: Mapping[str, object], *, as_json: bool) -> None:
    """What was done: a sentence on stderr for people, or one JSON object on stdout."""
    if as_json:
        emit_json(value)
    else:
        say(text)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while long work goes on, on a terminal only; call what it gives with how many more are done."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)


def say(text: str) -> None:
    """A line for people, on stderr."""
    click.echo(one_line(text), err=True)


def _cell(value: object) -> Text:
    """As text and nothing else: rich would read [red] in a shop's words as an order to itself."""
    if isinstance(value, datetime):
        return Text(f"{value:%Y-%m-%d %H:%M:%S}")
    if isinstance(value, list | tuple):
        return Text(", ".join(one_line(str(item)) for item in value))
    return Text("" if value is None else one_line(str(value)))


def _plain(value: Any) -> object:
    raise NotImplementedError(f"cannot show {type(value).__name__} as JSON")
