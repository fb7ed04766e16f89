"""The timeline: what tells nothing new is folded, and what the channel did not answer is not hidden in it."""

from datetime import UTC, datetime, timedelta

from paidup.console.scenes import scenes
from paidup.diagnosis.verdict import Facts
from paidup.journal.store import Call
from paidup.testing.builders import a_payment, an_order
from paidup.trace.bills import Beside

T = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def asked(seconds: int, outcome: str, why: str) -> Call:
    return Call(
        id=f"cal{seconds}", called_at=T + timedelta(seconds=seconds), shop="acme", channel="wechat", account="main",
        subject_id="p", purpose="query", outcome=outcome, why=why, status=None, elapsed_ms=3, answer="",
    )  # fmt: skip


def test_a_fold_says_how_many_questions_were_not_answered() -> None:
    """Three looks in a row are one line; that two of them found nobody there stands on it."""
    calls = [asked(1, "success", "waiting (NOTPAY)"), asked(2, "retryable", "503"), asked(3, "unknown", "timed out")]
    facts = Facts(
        order=an_order(), payments=[a_payment()], refunds=(), decisions=(), calls=calls, deliveries=(), cases=(),
        waiting=(), next_at=None,
    )  # fmt: skip
    folds = [fold for fold in scenes(facts, (), (), (), (), Beside([], [])) if fold.folded]
    assert [(3, 2)] == [(len(fold.scenes), fold.unanswered) for fold in folds]
