"""The house rules that a machine can hold. Each rule is a function over sources, and is shown to bite."""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "paidup"
Sources = Mapping[str, str]  # path below src/paidup → text
Rule = Callable[[Sources], list[str]]

LAYERS: tuple[tuple[str, ...], ...] = (
    # Who stands higher may import who stands lower; neighbours on one line do not import each other.
    ("__main__",),
    ("cli", "testing"),
    ("demo", "simulator"),
    ("report",),
    ("app",),
    ("jobs",),
    ("housekeeping",),
    ("console",),  # it shows what the API gives, and shares its context and its words for errors
    ("web",),
    ("supervisor", "wakeups", "trace", "verify", "hand", "finance"),
    ("transactions",),  # signs and sends as deliveries do
    ("diagnosis",),
    ("intake", "repair", "reconcile", "checkout", "delivery", "tally"),
    ("ask",),
    ("apply",),
    ("books",),  # as the door reads and writes them
    ("settle", "handlers", "chain", "stock"),
    ("people", "oidc"),
    ("shops",),  # a shop says what becomes of its orders, in their words
    ("numbers", "sought"),  # of orders, payments and refunds; what somebody says who has none
    ("payments", "refunds", "orders", "inventory", "outbox", "cases", "journal", "schedule"),
    ("metrics", "spans"),
    ("channels",),
    ("resilience",),
    ("db",),
    ("participant",),  # a library for other services: it knows nothing of ours
)
WORDS = frozenset("errors money clock ids evidence events seal settings written log host".split())
ONLY_WORDS = frozenset({"sandbox"})  # the other side knows nothing of ours
OUTSIDE = frozenset({"cli", "demo", "simulator", "testing"})  # they drive Paidup and the sandbox from without
HEIGHT = {part: -depth for depth, line in enumerate(LAYERS) for part in line}

PURE = frozenset(
    "states.py decide.py due.py plan.py sign.py saga.py tcc.py ways.py match.py judge.py judge_bench.py judge_sides.py "
    "judge_payments.py judge_refunds.py judge_other_lines.py".split()
)
CHANNELS_THAT_TOUCH_THE_WORLD = frozenset({"channels/http.py", "channels/accounts.py"})  # the wire, the folder of keys
IMPURE_MODULES = frozenset(
    "time random secrets uuid os asyncio socket aiohttp asyncpg subprocess threading paidup.clock paidup.ids".split()
)
BROAD = frozenset({"Exception", "BaseException"})
CHANCE = frozenset({"random", "secrets", "uuid"})
VAGUE = frozenset("util utils helper helpers manager managers service services common misc".split())
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 50
LISTS_OF_WORDS = "console/words_zh"  # nothing but sentences and their Chinese: as long as there is something to say


# What a source says --------------------------------------------------------------------------------------------------


def part_of(path: str) -> str:
    return path.split("/", maxsplit=1)[0].removesuffix(".py")


def imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported; ``from a import b`` is ``a.b``, relative ones made absolute."""
    package = ["paidup", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def trees(sources: Sources) -> Iterator[tuple[str, ast.Module]]:
    for path, text in sorted(sources.items()):
        yield path, ast.parse(text)


def dotted(node: ast.AST) -> str:
    """``datetime.now`` for an attribute of a name; empty for anything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string that is not a docstring; the fixed parts of an f-string joined by a blank."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            fixed = (part.value for part in node.values if isinstance(part, ast.Constant))
            yield node.lineno, " ".join(str(part) for part in fixed)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare | inside:
            yield node.lineno, node.value


# The rules -----------------------------------------------------------------------------------------------------------


def layers(sources: Sources) -> list[str]:
    """Imports point downwards; neighbours do not import each other."""
    known = {*HEIGHT, *WORDS, *ONLY_WORDS}
    found = [f"{path}: say in LAYERS where {part_of(path)!r} stands" for path in sources if _homeless(path, known)]
    for path, tree in trees(sources):
        for line, name in imports(path, tree):
            target = [*name.split("."), ""][1]
            if name.startswith("paidup.") and target in known and not _may_import(part_of(path), target):
                found.append(f"{path}:{line}: {part_of(path)} may not import {target}")
    return found


def _homeless(path: str, known: set[str]) -> bool:
    return path != "__init__.py" and part_of(path) not in known


def _may_import(part: str, target: str) -> bool:
    if part in {target, "__init__"} or target in WORDS:
        return True
    if part in WORDS | ONLY_WORDS:
        return False
    if target in ONLY_WORDS:
        return part in OUTSIDE
    return HEIGHT.get(part, 1) > HEIGHT[target]


def purity(sources: Sources) -> list[str]:
    """Pure files decide: they do not wait, look at a clock, roll dice or read the environment. Channels neither, but
    for the nonce that WeChat Pay wants in each signature, which the Protocol leaves to them."""
    found = []
    for path, tree in trees({path: text for path, text in sources.items() if _is_pure(path)}):
        barred = IMPURE_MODULES - {"paidup.ids"} if part_of(path) == "channels" else IMPURE_MODULES
        for line, name in imports(path, tree):
            if name in barred or name.rpartition(".")[0] in barred:
                found.append(f"{path}:{line}: a pure file imports {name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith | ast.AsyncFor):
                found.append(f"{path}:{node.lineno}: a pure file waits")
            if isinstance(node, ast.Call) and dotted(node.func) in {"open", "input", "print"}:
                found.append(f"{path}:{node.lineno}: a pure file calls {dotted(node.func)}")
    return found


def _is_pure(path: str) -> bool:
    sans_io = part_of(path) == "channels" and path not in CHANNELS_THAT_TOUCH_THE_WORLD
    return sans_io or Path(path).name in PURE


def one_owner(sources: Sources) -> list[str]:
    """Each table is written in one module."""
    tables = known_tables()
    writes = re.compile(
        r"\b(?:INSERT\s+INTO|UPDATE(?:\s+ONLY)?|DELETE\s+FROM(?:\s+ONLY)?|MERGE\s+INTO|TRUNCATE|COPY)\s+([a-z_]+)", re.I
    )
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for path, tree in trees(sources):
        for _, text in texts(tree):
            for table in tables.intersection(writes.findall(text)):
                owners[table].add(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and dotted(node.func).endswith("copy_records_to_table"):
                first = node.args[0] if node.args else None
                owners[str(getattr(first, "value", "a table that is not written out"))].add(path)
    return [
        f"{table} is written in {', '.join(sorted(paths))}" for table, paths in sorted(owners.items()) if len(paths) > 1
    ]


def known_tables() -> set[str]:
    migrations = "\n".join(path.read_text() for path in (SOURCE / "db" / "migrations").glob("*.sql"))
    return set(re.findall(r"create table (?:if not exists )?([a-z_]+)", migrations, re.I))


def broad_excepts(sources: Sources) -> list[str]:
    """Only the supervisor swallows everything. Others may catch all to clean up or to give it a name, if they raise."""
    found = []
    for path, tree in trees(sources):
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and path != "supervisor.py" and _swallows_all(node):
                found.append(f"{path}:{node.lineno}: catches everything")
            if isinstance(node, ast.Call) and dotted(node.func).endswith("suppress") and any(map(_is_broad, node.args)):
                found.append(f"{path}:{node.lineno}: suppresses everything")
    return found


def _swallows_all(handler: ast.ExceptHandler) -> bool:
    return _is_broad(handler.type) and not isinstance(handler.body[-1], ast.Raise)


def _is_broad(caught: ast.AST | None) -> bool:
    if caught is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in BROAD for node in ast.walk(caught))


def clock(sources: Sources) -> list[str]:
    """clock.py alone reads the clock and waits."""
    moment = re.compile(r"(^|\.)(datetime|date)\.(now|utcnow|today)$|^time\.|(^|\.)(loop|get_running_loop)\.time$")
    found = []
    for path, tree in trees({path: text for path, text in sources.items() if path != "clock.py"}):
        found += [f"{path}:{line}: imports {name}" for line, name in imports(path, tree) if _is_clock(name)]
        for node in ast.walk(tree):
            name = dotted(node.func) if isinstance(node, ast.Call) else ""
            waits = name == "asyncio.sleep" and not _is_zero(node) and part_of(path) not in OUTSIDE
            if moment.search(name) or waits:
                found.append(f"{path}:{node.lineno}: calls {name}")
    return found


def _is_zero(call: ast.AST) -> bool:
    """``asyncio.sleep(0)`` waits for no time, only for its turn."""
    return isinstance(call, ast.Call) and [getattr(arg, "value", None) for arg in call.args] == [0]


def _is_clock(name: str) -> bool:
    return name == "time" or name.startswith("time.") or name == "asyncio.sleep"


def chance(sources: Sources) -> list[str]:
    """ids.py alone rolls dice; the sandbox is handed a seeded random.Random."""
    found = []
    for path, tree in trees({path: text for path, text in sources.items() if path != "ids.py"}):
        for line, name in imports(path, tree):
            if name.split(".")[0] in CHANCE and not (part_of(path) in ("sandbox", "simulator") and name == "random"):
                found.append(f"{path}:{line}: imports {name}")
        for node in ast.walk(tree):
            name = dotted(node) if isinstance(node, ast.Attribute) else ""
            if name == "os.urandom" or (name.startswith("random.") and name != "random.Random"):
                found.append(f"{path}:{node.lineno}: uses {name}")
    return found


def sizes(sources: Sources) -> list[str]:
    """What does not fit on a few screens is split by noun."""
    found = []
    for path, tree in trees(sources):
        lines = sources[path].count("\n")
        if lines > MAX_FILE_LINES and not path.startswith(LISTS_OF_WORDS):
            found.append(f"{path}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    found.append(f"{path}:{node.lineno}: {node.name} has {length} lines")
    return found


def names(sources: Sources) -> list[str]:
    """A module is named for what it answers."""
    return [f"{path}: says nothing" for path in sources if not VAGUE.isdisjoint(path.removesuffix(".py").split("/"))]


def events(sources: Sources) -> list[str]:
    """Log lines are named noun.past, like the events."""
    found = []
    for path, tree in trees(sources):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or dotted(node.func) not in {"log.info", "log.warning", "log.error"}:
                continue
            said = _written(node.args[0]) if node.args else ""
            if not re.fullmatch(r"[a-z_]+\.[a-z_]+", said):
                found.append(f"{path}:{node.lineno}: logs {said!r}")
    return found


def _written(node: ast.AST) -> str:
    """A text as it stands in the source; what an f-string fills in counts as one word."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_written, node.values))
    if isinstance(node, ast.FormattedValue):
        return "filled"
    return str(node.value) if isinstance(node, ast.Constant) else ""


RULES: tuple[Rule, ...] = (layers, purity, one_owner, broad_excepts, clock, chance, sizes, names, events)

BITES: tuple[tuple[Rule, Sources], ...] = (
    (layers, {"payments/store.py": "from paidup.apply import apply"}),
    (layers, {"payments/store.py": "from paidup import apply"}),
    (layers, {"payments/store.py": "from paidup.orders.order import Order"}),
    (layers, {"payments/store.py": "def f() -> None:\n    import paidup.intake.worker"}),
    (layers, {"payments/store.py": "from ..orders import store"}),
    (layers, {"intake/worker.py": "from paidup.repair.due import next_query_s"}),
    (layers, {"channels/stripe/query.py": "from paidup.payments.states import State"}),
    (layers, {"resilience/guard.py": "from paidup.channels.messages import Unknown"}),
    (layers, {"money.py": "from paidup.db.transaction import Tx"}),
    (layers, {"sandbox/stripe/provider.py": "from paidup.channels.stripe.sign import sign"}),
    (layers, {"web/pages.py": "from paidup.sandbox.stripe.provider import Stripe"}),
    (layers, {"newcomer/store.py": ""}),
    (purity, {"payments/decide.py": "async def decide() -> None: ..."}),
    (purity, {"payments/decide.py": "import time"}),
    (purity, {"repair/due.py": "from os import environ"}),
    (purity, {"repair/due.py": "from paidup import ids"}),
    (purity, {"delivery/sign.py": "from paidup.ids import new_secret"}),
    (purity, {"channels/wechat/query.py": "import aiohttp"}),
    (purity, {"channels/wechat/open.py": "async def open_payment() -> None: ..."}),
    (purity, {"delivery/plan.py": "from paidup.clock import monotonic_s"}),
    (purity, {"reconcile/match.py": "text = open('bill.csv')"}),
    (one_owner, {"a.py": 'A = "INSERT INTO payments (id) VALUES ($1)"', "b.py": 'B = "update payments set id = 1"'}),
    (one_owner, {"a.py": 'A = f"DELETE FROM due {x}"', "b.py": 'tx.copy_records_to_table("due", records=[])'}),
    (broad_excepts, {"a.py": "try: f()\nexcept Exception: pass"}),
    (broad_excepts, {"a.py": "try: f()\nexcept: pass"}),
    (broad_excepts, {"a.py": "try: f()\nexcept (OSError, BaseException): pass"}),
    (broad_excepts, {"a.py": "with suppress(Exception): f()"}),
    (clock, {"a.py": "from datetime import datetime\nnow = datetime.now(UTC)"}),
    (clock, {"a.py": "import datetime\nnow = datetime.datetime.utcnow()"}),
    (clock, {"a.py": "from time import monotonic"}),
    (clock, {"a.py": "import asyncio\nasync def f() -> None:\n    await asyncio.sleep(1)"}),
    (clock, {"a.py": "from asyncio import sleep"}),
    (chance, {"a.py": "import secrets"}),
    (chance, {"a.py": "from random import choice"}),
    (chance, {"a.py": "import os\nnonce = os.urandom(16)"}),
    (chance, {"sandbox/a.py": "import random\nx = random.random()"}),
    (sizes, {"a.py": "\n" * 401}),
    (sizes, {"a.py": "def f() -> None:\n" + "    x = 1\n" * 50}),
    (names, {"payments/helpers.py": ""}),
    (names, {"utils/text.py": ""}),
    (events, {"a.py": 'log.info("Payment was paid")'}),
    (events, {"a.py": "log.error(message)"}),
)
ALLOWS: tuple[tuple[Rule, Sources], ...] = (
    (layers, {"apply.py": "from paidup.payments.decide import decide\nfrom paidup import ids, __version__"}),
    (layers, {"sandbox/stripe/provider.py": "from paidup.clock import Clock\nfrom paidup.sandbox.wire import Wire"}),
    (layers, {"demo/run.py": "from paidup.sandbox.stripe.provider import Stripe\nimport paidup.app"}),
    (purity, {"payments/store.py": "async def get() -> None: ...", "channels/http.py": "import aiohttp"}),
    (purity, {"channels/wechat/sign.py": "from paidup import ids"}),
    (one_owner, {"a.py": 'A = "INSERT INTO due VALUES (1) ON CONFLICT DO UPDATE SET x = 1"', "b.py": "'UPDATE due'"}),
    (one_owner, {"a.py": 'A = "UPDATE due SET x = 1"', "b.py": 'B = "SELECT * FROM due FOR UPDATE"'}),
    (broad_excepts, {"supervisor.py": "try: f()\nexcept Exception: pass", "a.py": "try: f()\nexcept OSError: pass"}),
    (broad_excepts, {"a.py": "try: f()\nexcept BaseException:\n    lock.release()\n    raise"}),
    (clock, {"clock.py": "import time\nnow = time.time()", "a.py": "now = clock.now()"}),
    (clock, {"a.py": "import asyncio\nasync def f() -> None:\n    await asyncio.sleep(0)"}),
    (chance, {"ids.py": "import secrets", "sandbox/a.py": "import random\ndef f(r: random.Random) -> None: ..."}),
    (sizes, {"a.py": "def f() -> None:\n" + "    x = 1\n" * 49}),
    (names, {"repair/due.py": ""}),
    (events, {"a.py": 'log.info("payment.paid", why=why)', "b.py": 'log.info(f"evidence.{outcome}")'}),
)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return {path.relative_to(SOURCE).as_posix(): path.read_text() for path in SOURCE.rglob("*.py")}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Rule, sources: Sources) -> None:
    """Every source of the package, for each rule."""
    assert rule(sources) == []


@pytest.mark.parametrize(("rule", "sample"), BITES, ids=lambda value: getattr(value, "__name__", ""))
def test_each_rule_bites(rule: Rule, sample: Sources) -> None:
    """A rule that complains of nothing holds nothing."""
    assert len(rule(sample)) >= 1


@pytest.mark.parametrize(("rule", "sample"), ALLOWS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_rule_lets_the_right_thing_pass(rule: Rule, sample: Sources) -> None:
    """A rule that complains of everything teaches to switch it off."""
    assert rule(sample) == []


def test_every_rule_is_shown_both_ways() -> None:
    """No rule without a sample that breaks it and one that keeps it."""
    assert [{rule for rule, _ in BITES}, {rule for rule, _ in ALLOWS}] == [set(RULES), set(RULES)]


def test_the_rules_look_at_the_whole_package(sources: Sources) -> None:
    """The sources and the tables were found: an empty look would pass every rule."""
    assert {"apply.py", "payments/decide.py", "channels/http.py", "repair/due.py"} <= set(sources)
    assert {"payments", "orders", "due", "inbox"} <= known_tables()
