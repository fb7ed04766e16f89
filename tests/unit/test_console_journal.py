"""The journal's sentences in Chinese: whatever a state table or reconciliation can say leaves no English behind."""

import ast
import re
from datetime import date
from pathlib import Path

import pytest

from paidup.console.journal_zh import in_chinese
from paidup.console.words_en import KINDS
from paidup.console.words_zh import WORDS
from paidup.console.words_zh_journal import ERRORS, HOLED, MEANINGS, REFUSALS, WHOLE
from paidup.inventory import states as inventory
from paidup.orders import states as orders
from paidup.payments import states as payments
from paidup.reconcile import states as breaks
from paidup.reconcile.breaks import NEXT_STEP, Kind
from paidup.reconcile.overdue import said_of
from paidup.refunds import states as refunds
from paidup.settings import describe
from paidup.transactions.states import SAGA, STEP, TCC

SOURCE = Path(__file__).parents[2] / "src" / "paidup"
ENGLISH = re.compile(r"[a-z]{2,}(?: [a-z]{2,})+")
"""Two words of English in a row."""
SPEAKING = (
    "settle/payments.py", "settle/refunds.py", "payments/decide.py", "refunds/decide.py", "repair/worker.py",
    "reconcile/judge_bench.py", "reconcile/judge_sides.py", "reconcile/judge_payments.py", "reconcile/judge_refunds.py",
    "reconcile/judge_other_lines.py", "reconcile/propose.py", "reconcile/balance.py", "reconcile/payouts.py",
    "reconcile/mend_ask.py", "reconcile/mend_settle.py",
)  # fmt: skip
BREAK_CASES = {Kind.LONG, Kind.SHORT, Kind.STATUS, Kind.WRONG_DAY, Kind.REFUND_UNKNOWN}
"""Those that the judge lets wait for other days' bills."""
NO_SENTENCE = {"4711 4711, and is 4711"}
"""What is only known by what stands in its holes; the next claim fills them."""


def in_tables() -> set[str]:
    tables = [part.TABLE for part in (payments, refunds, orders, inventory, breaks)]
    tables += [part.TABLE for part in (SAGA, TCC, STEP)]
    return {move.why for table in tables for move in table.values()}


@pytest.mark.parametrize("why", sorted(in_tables()))
def test_every_reason_of_a_state_table_is_said_in_chinese(why: str) -> None:
    """Also behind a case's name, with a detail in brackets, and beside another reason."""
    for said in (why, f"{why} (agreed 12.50 CNY, the channel says 9.00 CNY)", f"{why}; the order is paid"):
        assert not ENGLISH.search(in_chinese(said)), in_chinese(said)


@pytest.mark.parametrize("text", sorted(NEXT_STEP.values()))
def test_the_second_sentence_of_an_overdue_break_is_said_in_chinese(text: str) -> None:
    """What differs, and what to do about it."""
    said = in_chinese(f"break brk01 of 2026-11-22: paid in the bill, and open here. {text}")
    assert (True, None) == (said.startswith("2026-11-22 的差异"), ENGLISH.search(said)), said


def refusals() -> set[str]:
    """Why a channel's callback is refused, wherever a channel says so; each hole filled with a number."""
    found = set()
    for path in SOURCE.glob("channels/*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "CallbackRefused":
                said = [part for part in ast.walk(node.args[1]) if isinstance(part, ast.Constant | ast.JoinedStr)][:1]
                found |= {_filled(part) for part in said}
    return found


def _filled(node: ast.AST) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "4711" for part in parts)


@pytest.mark.parametrize("why", sorted(refusals()))
def test_every_refusal_of_a_callback_is_said_in_chinese(why: str) -> None:
    """Whoever looks into the quarantine reads why, beside the names that stand in a channel's own words."""
    assert not ENGLISH.search(in_chinese(why)), in_chinese(why)


def test_the_refusals_were_found() -> None:
    """An empty look would prove nothing."""
    assert any("alipay_public_keys" in why for why in refusals())
    assert len(refusals()) > 15


@pytest.mark.parametrize("kind", list(Kind))
def test_a_days_case_is_said_in_chinese(kind: Kind) -> None:
    """Alone and beside others: each kind by its name in finance, with its count and money; no English is left."""
    one = {"breaks": 1, "kind": kind.value, "apart_minor": 1250, "currency": "CNY"}
    two = {"breaks": 12, "kind": Kind.LONG.value, "apart_minor": 100, "currency": "JPY"}
    name = WORDS[f"kind {kind.value}"]
    see = "；见 `paidup reconcile breaks --day 2026-11-22`"
    subject = "wechat/main 2026-11-22"
    assert [
        f"{subject}：{name} 1 条，共 12.50 CNY{see}",
        f"{subject}：{name} 1 条，共 12.50 CNY，长款 12 条，共 100 JPY{see}",
    ] == [in_chinese(said_of(subject, date(2026, 11, 22), counts)) for counts in ([one], [one, two])]


@pytest.mark.parametrize("kind", sorted(BREAK_CASES))
def test_the_case_of_an_overdue_break_has_a_name(kind: str) -> None:
    """Of every kind that may wait, or that what waits may become, in both languages."""
    assert f"reconcile_{kind}" in KINDS
    assert any("\u4e00" <= letter <= "\u9fff" for letter in WORDS[f"case reconcile_{kind}"])


@pytest.mark.parametrize(
    "why",
    [
        "the bill is not there, 3 tries so far: HTTP 502",
        "the day does not fit into 512 MB: allow more by PAIDUP_RECONCILE_MEMORY_MB, and see that the folder it spills "
        "into has room (Out of Memory)",
        "more than 200000 lines and payments differ: this is another account's or another day's bill, or our books are "
        "not whole; nothing was recorded",
    ],
)
def test_a_day_that_was_not_reconciled_is_explained_in_chinese(why: str) -> None:
    """What a channel or DuckDB says of it stays as it is."""
    said = in_chinese(f"wechat/main trades 2026-11-22: {why}")
    assert not ENGLISH.search(said.replace("Out of Memory", "")), said


def fixed_texts() -> set[str]:
    """Sentences with holes that these modules make, each hole filled with a number."""
    found = set()
    for name in SPEAKING:
        for node in ast.walk(ast.parse((SOURCE / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(p.value) if isinstance(p, ast.Constant) else "4711" for p in node.values]
                found.add("".join(parts))
    return {text for text in found if ENGLISH.search(text)} - NO_SENTENCE


@pytest.mark.parametrize("text", sorted(fixed_texts()))
def test_every_sentence_with_holes_is_said_in_chinese(text: str) -> None:
    """Whatever stands in its holes stays."""
    assert not ENGLISH.search(in_chinese(text)), in_chinese(text)


@pytest.mark.parametrize(
    "what", ["came back", "did not reach the customer", "was taken back by the bank", "was returned by the bank"]
)
@pytest.mark.parametrize("here", ["not known here", "paid here"])
def test_money_that_came_or_went_by_itself_is_told_in_chinese(what: str, here: str) -> None:
    """A refund that came back, a chargeback, one that was reversed."""
    assert not ENGLISH.search(in_chinese(f"12.50 CNY {what}, and is {here}"))


@pytest.mark.parametrize("setting", describe(), ids=lambda setting: setting.name)
def test_every_setting_is_explained_in_chinese(setting: object) -> None:
    """On the settings page."""
    said = in_chinese(setting.meaning)  # type: ignore[attr-defined]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in said), said


@pytest.mark.parametrize("table", [HOLED, REFUSALS, ERRORS, MEANINGS, WHOLE])
def test_a_translation_keeps_what_stands_in_the_holes(table: dict[str, str]) -> None:
    """None is lost, none is made up."""
    holes = re.compile(r"\{\w+\}")
    assert [] == [text for text, said in table.items() if sorted(holes.findall(text)) != sorted(holes.findall(said))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the payment is held; only a paid one is refunded", "支付状态为已冻结；只有已支付的才能退款"),
        (
            "payment pay01 is open; only a held one waits for a decision",
            "支付 pay01 的状态为待支付；只有冻结的才待处理",
        ),
        ("your role (operator) may not do this; ask somebody with the role finance, admin", "财务、管理员"),
        ("bo has decided this already: refused; to ask anew, take a fresh key", "bo 已作出决定：已拒绝；要重新申请"),
        ("given back in the bill, and failed here", "账单已退款，我方为失败"),
        ("break brk01 is resolved already", "差异 brk01 "),
        ("a break of the kind payout cannot be repaired by its bill: resolve it with what was done", "提现不符"),
    ],
)
def test_a_state_in_a_sentence_is_said_in_chinese(text: str, said: str) -> None:
    """By the word that stands beside it on its page, and not by its name in the tables."""
    assert said in in_chinese(text)


def test_what_others_wrote_stays_as_it_is() -> None:
    """A channel's or a person's words are not ours to translate."""
    for text in ("Insufficient funds (card declined)", "the customer called: he paid twice", "a; b", ""):
        assert text.replace("; ", "；") == in_chinese(text)
