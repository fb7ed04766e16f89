"""A sentence of the journal in Chinese, part by part: what a state table says word for word, what has holes, and what a
channel or a person wrote, which stays as it is."""

import re
from functools import lru_cache

from paidup.channels.bill import BillKind
from paidup.console.words_en import KINDS
from paidup.console.words_zh import WORDS
from paidup.console.words_zh_journal import ERRORS, HOLED, MEANINGS, REFUSALS, WHOLE
from paidup.console.words_zh_services import SERVICES
from paidup.console.words_zh_world import WORLD
from paidup.finance.words import NEXT_STEP_ZH
from paidup.reconcile.breaks import NEXT_STEP, Kind

_NEXT = {NEXT_STEP[kind]: said for kind, said in NEXT_STEP_ZH.items()}
_SENTENCES = {text: said for text, said in WORDS.items() if text.endswith(".")}
_ALL = {**_SENTENCES, **SERVICES, **HOLED, **REFUSALS, **ERRORS, **MEANINGS}
_HOLE = re.compile(r"\\\{(\w+)\\\}")
_TALLY = re.compile(rf"([0-9]+) ({'|'.join(Kind)}) over ([0-9.]+ [A-Z]{{3}})")
_BILL = re.compile(rf"(\S+/\S+) ({'|'.join(BillKind)}) ([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})")
_MAX_DEPTH = 4


def in_chinese(text: str, depth: int = 0) -> str:
    """The sentence in Chinese, as far as it is ours."""
    known = WHOLE.get(text) or WORLD.get(text) or _ALL.get(text) or _NEXT.get(text) or _of_bills(text)
    if known or depth > _MAX_DEPTH or not text:
        return known or text
    for pattern, said in _patterns():
        found = pattern.fullmatch(text)
        if found:
            return said.format(**{name: _in_hole(name, value, depth) for name, value in found.groupdict().items()})
    return _in_parts(text, depth + 1)


def _in_hole(name: str, value: str, depth: int) -> str:
    """A hole {a}, {b} holds any sentence; one that is named for a thing, such as {payment}, mostly its state, or
    several."""
    thing = "" if name.rstrip("_") == "role" else f"{name.rstrip('_')} "
    states = [WORDS.get(thing + one, "") for one in value.split(", ")] if len(name) > 1 else [""]
    return "、".join(states) if all(states) else in_chinese(value, depth + 1)


def _of_bills(text: str) -> str:
    """``"2 long over 12.50 CNY, 1 short over 3.00 CNY"``, as a day's case counts its breaks, and the name of a bill,
    ``"wechat/main trades 2026-11-22"``; else nothing."""
    if bill := _BILL.fullmatch(text):
        return f"{bill[1]} {WORDS[f'bill {bill[2]}']} {bill[3]}"
    found = [_TALLY.fullmatch(part) for part in text.split(", ")]
    return (
        "，".join(f"{WORDS[f'kind {one[2]}']} {one[1]} 条，共 {one[3]}" for one in found if one) if all(found) else ""
    )


def _in_parts(text: str, depth: int) -> str:
    """At a second sentence, at what stands in brackets, at a semicolon, after a colon: the first that divides it."""
    for ending, whole in _NEXT.items():
        if text.endswith(f". {ending}"):
            return f"{in_chinese(text.removesuffix(f'. {ending}'), depth)}。{whole}"
    if " · " in text:
        return " · ".join(in_chinese(part, depth) for part in text.split(" · "))
    if text.endswith(")") and " (" in text:
        head, _, inside = text[:-1].rpartition(" (")
        if in_chinese(head, depth) != head or in_chinese(inside, depth) != inside:
            return f"{in_chinese(head, depth)}（{in_chinese(inside, depth)}）"
    if "; " in text:
        return "；".join(in_chinese(part, depth) for part in text.split("; "))
    head, colon, rest = text.partition(": ")
    if colon and (head in KINDS or head.isdigit() or in_chinese(head, depth) != head):
        first = WORDS[f"case {head}"] if head in KINDS else in_chinese(head, depth)
        return f"{first}：{in_chinese(rest, depth)}"
    return text


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """The longest first: they say most about what they fit."""
    by_length = sorted((text for text in _ALL if "{" in text), key=lambda text: -len(_HOLE.sub("", re.escape(text))))
    return [(re.compile(_HOLE.sub(r"(?P<\1>.+?)", re.escape(text)), re.S), _ALL[text]) for text in by_length]
