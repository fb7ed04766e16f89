"""Every channel's parsers under spoiled messages: the documented refusals come out, and nothing else."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutants import spoiled, spoiled_text, tries
from speakers import Speaker, speakers

from paidup.channels.messages import CallbackRequest, Declined, Reading, Retryable, Success, Unknown
from paidup.errors import CallbackRefused
from paidup.evidence import Evidence, decode, encode
from paidup.money import MAX_AMOUNT_MINOR

pytestmark = [pytest.mark.fuzz, pytest.mark.parametrize("speaker", speakers(), ids=lambda speaker: speaker.name)]

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
STATUSES = (100, 200, 201, 204, 302, 400, 401, 403, 404, 409, 418, 429, 499, 500, 502, 599)


def read(speaker: Speaker, request: CallbackRequest) -> Reading | None:
    """What it says, None when it is refused; anything else that is raised fails the test."""
    try:
        return speaker.channel.read_callback(request, speaker.account, speaker.now)
    except CallbackRefused:
        return None


def must_be_keepable(evidence: Evidence) -> None:
    """It comes back from its JSON; PostgreSQL can hold its texts and its time, and its amount is one."""
    assert evidence == decode(encode(evidence))
    texts = [value for value in msgspec.structs.astuple(evidence) if isinstance(value, str)]
    assert [] == [text[:40] for text in texts if "\x00" in text or len(text) > 2000]
    assert evidence.amount is None or 0 <= evidence.amount.amount_minor <= MAX_AMOUNT_MINOR
    assert evidence.occurred_at is None or EARLIEST <= evidence.occurred_at <= LATEST


def test_a_spoiled_body_is_refused_or_says_what_it_said(speaker: Speaker) -> None:
    """Whatever is done to the signed bytes: no other meaning, no other error."""

    @tries(120)
    @given(st.integers(0, len(speaker.honest) - 1), st.data())
    def holds(which: int, data: st.DataObject) -> None:
        sent = speaker.honest[which]
        body = data.draw(spoiled(sent.body))
        reading = read(speaker, msgspec.structs.replace(sent, body=body))
        assert reading in (None, read(speaker, sent))

    holds()


def test_a_spoiled_header_is_refused_or_says_what_it_said(speaker: Speaker) -> None:
    """Signatures, serials, timestamps and nonces of any length and alphabet, given twice or not at all."""

    @tries(120)
    @given(st.integers(0, len(speaker.honest) - 1), st.data())
    def holds(which: int, data: st.DataObject) -> None:
        sent = speaker.honest[which]
        headers = [
            (name, data.draw(st.just(value) | spoiled_text(value))) for name, value in sent.headers for _ in
            range(data.draw(st.sampled_from((1, 1, 1, 1, 1, 1, 0, 2))))
        ]  # fmt: skip
        reading = read(speaker, msgspec.structs.replace(sent, headers=tuple(headers)))
        assert reading in (None, read(speaker, sent))

    holds()


def test_bytes_from_nowhere_are_refused(speaker: Speaker) -> None:
    """Without the keys nothing is ever accepted."""

    @tries(60)
    @given(st.binary(max_size=400), st.lists(st.tuples(st.text(max_size=30), st.text(max_size=60)), max_size=8))
    def holds(body: bytes, headers: list[tuple[str, str]]) -> None:
        assert read(speaker, CallbackRequest("POST", "/", tuple(headers), body)) is None

    holds()


def test_a_channel_that_signs_nonsense_is_refused_or_can_be_kept(speaker: Speaker) -> None:
    """Truly signed, and still hostile: what is accepted fits into the database, word for word."""

    @tries(150)
    @given(spoiled(*speaker.contents))
    def holds(content: bytes) -> None:
        reading = read(speaker, speaker.signed(content))
        if reading is None:
            return
        assert "\x00" not in reading.key + reading.kind
        assert len(reading.key) + len(reading.kind) < 2000
        for evidence in reading.evidence:
            must_be_keepable(evidence)

    holds()


def test_a_spoiled_answer_ends_in_one_of_the_four_ways(speaker: Speaker) -> None:
    """Truly signed or not, of any status: an outcome comes out, and its evidence can be kept."""

    @tries(150)
    @given(st.sampled_from(sorted(speaker.exchanges)), st.sampled_from(STATUSES), st.booleans(), st.data())
    def holds(name: str, status: int, before: bool, data: st.DataObject) -> None:
        contents = speaker.answers[name]
        if before:  # the content is spoiled, then signed
            answer = speaker.answered(name, status, data.draw(spoiled(*contents)))
        else:
            whole = speaker.answered(name, status, data.draw(st.sampled_from(contents)))
            answer = msgspec.structs.replace(whole, body=data.draw(spoiled(whole.body)))
        outcome = speaker.exchanges[name].read(answer, speaker.now)
        assert isinstance(outcome, Success | Declined | Retryable | Unknown)
        if isinstance(outcome, Success):
            for evidence in outcome.evidence:
                must_be_keepable(evidence)
            texts = [*outcome.pay_with, *outcome.pay_with.values(), outcome.channel_txn_id or ""]
            assert [] == [text for text in texts if "\x00" in text]

    holds()
