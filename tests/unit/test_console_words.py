"""The console speaks two languages: whatever a template or a page says in English has its Chinese, and nothing is left
over."""

import ast
import re
from pathlib import Path

import pytest

from paidup.console.visitor import THEMES
from paidup.console.words_en import DEEDS, FACTS, KINDS
from paidup.console.words_en import WORDS as ENGLISH
from paidup.console.words_zh import WORDS as CHINESE
from paidup.people.user import Role

SOURCE = Path(__file__).parents[2] / "src" / "paidup"
CONSOLE = SOURCE / "console"
SAID = re.compile(r"""\bt\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')(?=\s*[,)])""")
HOLE = re.compile(r"\{(\w+)\}")
SPOKEN = frozenset(
    {"Scene", "Said", "Trouble", "Block", "Detail", "NotAllowed", "Overloaded", "TooSoon", "Field", "Deed", "reason"}
)
"""Calls whose first text, or `title`, is shown to people through t()."""
SHOWN = frozenset({"title", "text", "button", "hint"})
ELSEWHERE = {"order", "payment", "refund"}  # made of a state's name
MACHINE = re.compile(r"^[a-z_]*$")


def in_templates() -> set[str]:
    found: set[str] = set()
    for path in CONSOLE.glob("templates/*.html"):
        found |= {one or two for one, two in SAID.findall(path.read_text(encoding="utf-8"))}
    return found


def in_code() -> set[str]:
    """Texts that the pages hand to a template, which shows them through t()."""
    found: set[str] = set()
    paths = [
        *CONSOLE.glob("*.py"),
        *SOURCE.glob("hand/*.py"),
        *SOURCE.glob("diagnosis/*.py"),
        SOURCE / "people" / "sign_in.py",
    ]
    for path in (p for p in paths if not p.name.startswith("words_")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= _of_call(node) if isinstance(node, ast.Call) else _of_table(node)
    return {text for text in found if not MACHINE.match(text)}


def _of_call(node: ast.Call) -> set[str]:
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if name not in SPOKEN:
        return set()
    shown = [
        *node.args[: 1 if name not in ("Field", "Deed") else 0],
        *(word.value for word in node.keywords if word.arg in SHOWN),
    ]
    return {text for arg in shown for text in _texts(arg)}


def _texts(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    return set()


def _of_table(node: ast.AST) -> set[str]:
    """The values of the tables of titles, and of the sentences that are chosen by a key."""
    if isinstance(node, ast.Assign):
        name = getattr(node.targets[0], "id", "")
        if name in {
            "MENU",
            "_CALLS",
            "_OUTCOMES",
            "_DELIVERED",
            "_TITLES",
            "_OURS",
            "_LOST",
            "_REFUSED",
            "_AWAY",
            "texts",
            "choices",
            "WHY",
        }:
            values = [n for n in ast.walk(node.value) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            return {value.value for value in values if " " in value.value or value.value.istitle()}
    return set()


SAYINGS = in_templates() | in_code()
KEYS = {*ENGLISH, *Role, *THEMES, *(f"case {kind}" for kind in KINDS), *(f"deed {one}" for one in DEEDS)}


@pytest.mark.parametrize("text", sorted(SAYINGS | KEYS))
def test_every_saying_has_its_chinese(text: str) -> None:
    """… with the same values to fill in."""
    assert text in CHINESE
    assert sorted(HOLE.findall(text)) == sorted(HOLE.findall(CHINESE[text]))


def test_every_fact_before_a_raw_text_has_its_word() -> None:
    """The names that hand/detail.py and the quarantine give are those of the list, and no other."""
    given: set[str] = set()
    for path in (SOURCE / "hand" / "detail.py", CONSOLE / "callbacks.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple) and all(isinstance(one, ast.Constant) for one in node.elts):
                names = {str(one.value) for one in node.elts if isinstance(one, ast.Constant)}
                given |= names if "id" in names else set()
    assert set(FACTS) == given | {"buyer_ref"}


def test_no_translation_is_left_over() -> None:
    """What nobody says any more is taken out."""
    assert set() == set(CHINESE) - SAYINGS - KEYS - ELSEWHERE


def test_the_sayings_were_found() -> None:
    """An empty look would prove nothing."""
    assert {"Sign in", "The shop was told and confirmed.", "Order placed", "Home"} <= SAYINGS


def test_every_deed_has_a_name() -> None:
    """Whatever the audit writes down is said in words, not in a code."""
    about = (
        "account|approval|bill|break|callback|case|data|delivery|endpoint|key|order|participant|payment|quarantine"
        "|refund|user"
    )
    written = re.compile(rf'"((?:{about})\.[a-z]+_?[a-z]*)"')
    paths = [*SOURCE.glob("hand/*.py"), *SOURCE.glob("people/*.py"), *SOURCE.glob("console/[!w]*.py"),
             *SOURCE.glob("cli/*.py"), SOURCE / "web" / "told.py", SOURCE / "web" / "transactions.py"]  # fmt: skip
    found = {action for path in paths for action in written.findall(path.read_text(encoding="utf-8"))}
    assert (set(), True) == ({one for one in found if not one.endswith(".html")} - set(DEEDS), len(found) > 20)
