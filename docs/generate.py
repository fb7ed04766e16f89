"""Writes docs/reference from the code: `make docs`. tests/test_docs.py fails when a page is not what this writes."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from inspect import cleandoc, getdoc, getsource
from pathlib import Path
from textwrap import dedent
from typing import Any

import click

from paidup import errors
from paidup import events as events_module
from paidup.cli import COMMANDS, cli
from paidup.events import EventType
from paidup.inventory import states as inventory
from paidup.metrics.families import FAMILIES, Source
from paidup.orders import states as orders
from paidup.payments import states as payments
from paidup.reconcile import states as breaks
from paidup.reconcile.tell import MOST_AT_ONCE
from paidup.refunds import states as refunds
from paidup.settings import describe
from paidup.transactions.states import SAGA, STEP, TCC
from paidup.web.api import ROUTES

REFERENCE = Path(__file__).resolve().parent / "reference"
_NOTE = "<!-- Written by docs/generate.py; `make docs` writes it anew. -->\n\n"


def pages() -> dict[str, str]:
    """Every page of the reference by its file name."""
    makers: Mapping[str, Callable[[], str]] = {
        "states.md": states,
        "settings.md": settings,
        "events.md": events,
        "errors.md": error_tree,
        "cli.md": command_line,
        "api.md": api,
        "metrics.md": metrics,
    }
    return {name: _NOTE + make().rstrip() + "\n" for name, make in makers.items()}


_TRANSACTIONS = (("Saga", SAGA), ("TCC", TCC), ("Step of a saga or TCC", STEP))


def states() -> str:
    """The lives, drawn from their tables."""
    parts = ["# States", "Drawn from the tables in the code. Every state answers every happening."]
    for name, module in (
        ("Payment", payments), ("Order", orders), ("Refund", refunds), ("Break", breaks),
        ("Reservation of units", inventory),
    ):  # fmt: skip
        parts += [f"## {name}", _states_of(module), _diagram(module.TABLE), _table(module.TABLE)]
    for name, life in _TRANSACTIONS:
        moves = {key: move for key, move in life.TABLE.items() if move.to is not key[0]}
        parts += [f"## {name}", _states_of(life), _diagram(moves), _table(moves), "Anything else changes nothing."]
    return "\n\n".join(parts)


def _states_of(module: Any) -> str:
    final = getattr(module, "FINAL", frozenset())
    return "\n".join(f"- `{state}`{' (nothing is asked any more)' if state in final else ''}" for state in module.State)


def _diagram(table: Mapping[tuple[StrEnum, StrEnum], Any]) -> str:
    moves: dict[tuple[str, str], list[str]] = {}
    for (state, happening), move in table.items():
        if move.to is not state:
            moves.setdefault((state.value, move.to.value), []).append(happening.value)
    lines = [f"    {a} --> {b}: {', '.join(happenings)}" for (a, b), happenings in moves.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def _table(table: Mapping[tuple[StrEnum, StrEnum], Any]) -> str:
    rows = ["| state | happening | next | why |", "| --- | --- | --- | --- |"]
    for (state, happening), move in sorted(table.items(), key=lambda row: (row[0][0].value, row[0][1].value)):
        case = getattr(move, "case", None)
        opens = f" Opens the case `{case}`." if case else ""
        rows.append(f"| {state} | {happening} | {move.to} | {move.why}.{opens} |")
    return "\n".join(rows)


def settings() -> str:
    """Every setting of the environment."""
    rows = ["# Settings", "", "An unknown `PAIDUP_*` name is an error that names the nearest one.", ""]
    rows += ["| name | kind | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| `{s.name}` | {s.kind} | {f'`{s.default}`' if s.default else ''} | {s.meaning} |" for s in describe()]
    return "\n".join(rows)


def events() -> str:
    """Every event that a shop may be told."""
    says = _comments(events_module, "EventType")
    rows = [
        "# Events",
        "",
        "`seq` counts per order, without gaps; of `stock.…` per article, whose id then stands in place of the order's;",
        "of `reconcile.…` per account and day, and `channel/account/day` stands there. The data of each is in",
        "`src/paidup/settle/announce.py`, that of `stock.…` in `src/paidup/stock.py`, that of `reconcile.…` in",
        "`src/paidup/reconcile/tell.py`. Of one run's breaks at most "
        f"{MOST_AT_ONCE} are told one by one; `reconcile.finished` counts them",
        "all. In-process handlers hear all of them but `reconcile.…`.",
        "",
        "How a receiver reads, verifies and answers them: [hear of it](../how-to/hear-of-it.md).",
        "",
    ]
    return "\n".join([*rows, *(f"- `{event}`{_said(says.get(event.name))}" for event in EventType)])


def _said(comment: str | None) -> str:
    return f": {comment}" if comment else ""


def _comments(module: Any, name: str) -> dict[str, str]:
    """What stands behind the members of an enumeration in its source."""
    lines = getsource(getattr(module, name)).splitlines()
    found = (re.match(r"\s+([A-Z_]+) = \"[^\"]+\"  # (.+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def error_tree() -> str:
    """The tree of errors, as the module's docstring draws it."""
    return f"# Errors\n\n{getdoc(errors)}\n\nThe API answers them as problem details (RFC 9457)."


def command_line() -> str:
    """Every command with its options."""
    parts = ["# Command line", "Data goes to stdout, everything else to stderr."]
    context = click.Context(cli, info_name="paidup")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        parts += _command(command, f"paidup {name}") if command else []
    return "\n\n".join(parts)


def _command(command: click.Command, name: str) -> list[str]:
    context = click.Context(command, info_name=name)
    says, _, examples = cleandoc(command.help or "").partition("\b\n")
    parts = [f"## {name}", says.strip()]
    if examples:
        parts.append("\n".join(["```sh", dedent(examples).strip(), "```"]))
    options = [parameter.get_help_record(context) for parameter in command.params]
    lines = [f"- `{record[0]}` {record[1]}".rstrip() for record in options if record]
    parts += ["\n".join(lines)] if lines else []
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            inner = command.get_command(context, sub)
            parts += _command(inner, f"{name} {sub}") if inner else []
    return parts


def api() -> str:
    """Every operation; the machine's version is /openapi.json."""
    rows = ["# HTTP API", "", "A running Paidup describes itself at `/docs` and `/openapi.json`.", ""]
    rows += ["| operation | scope | what it does |", "| --- | --- | --- |"]
    for route in ROUTES:
        does = " ".join((getdoc(route.handler) or "").split())
        rows.append(f"| `{route.method} {route.shown_path}` | {route.scope} | {does} |")
    return "\n".join(rows)


_METRICS = {
    Source.DATABASE: """## The business

Read from the database, so that every process tells the same: take `max`, never `sum`. The counters count rows of this
UTC day and begin anew at midnight UTC; `rate()` and `increase()` know what to make of that. What waits is counted up to
20,000. `paidup metrics` prints these without a server.""",
    Source.PROCESS: """## The process

Each process's own, since it started: take `sum`. Beside them stand the usual `process_resident_memory_bytes`,
`process_cpu_seconds_total`, `process_open_fds` and `process_start_time_seconds`.""",
}


def metrics() -> str:
    """Every metric of /metrics."""
    parts = ["# Metrics", "How to read them: [watch it](../how-to/watch-it.md)."]
    for source, says in _METRICS.items():
        rows = ["| name | kind | labels | meaning |", "| --- | --- | --- | --- |"]
        for family in FAMILIES:
            if family.source is source:
                labels = ", ".join(f"`{label}`" for label in family.labels)
                rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.says} |")
        parts += [says, "\n".join(rows)]
    return "\n\n".join(parts)


def main() -> None:
    """Write every page."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
