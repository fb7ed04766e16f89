"""Log lines: structured, and without secrets."""

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from paidup import log


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def machine() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    log.set_up(stream)
    yield stream
    log.set_up()


@pytest.fixture
def person() -> Iterator[io.StringIO]:
    stream = Terminal()
    log.set_up(stream)
    yield stream
    log.set_up()


def only_line(stream: io.StringIO) -> str:
    (line,) = stream.getvalue().splitlines()
    return line


def test_a_machine_gets_one_json_object_a_line(machine: io.StringIO) -> None:
    """Event, level and moment first, then the fields as they were given."""
    log.info("payment.paid", payment_id="pay1", amount_minor=1250, late=False, why="the channel says it is paid")
    line = json.loads(only_line(machine))
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "event": "payment.paid",
        "payment_id": "pay1",
        "amount_minor": 1250,
        "late": False,
        "why": "the channel says it is paid",
    }


def test_a_person_gets_words_that_read_from_left_to_right(person: io.StringIO) -> None:
    """Values with blanks stand in quotes."""
    log.warning("channel.silent", channel="wechat", why="no callback for 10 minutes")
    assert only_line(person)[12:] == ' warning channel.silent channel=wechat why="no callback for 10 minutes"'


@pytest.mark.parametrize(
    "name",
    [
        "secret", "client_secret", "password", "Authorization", "api_key", "apiv3_key", "private_key", "access-token",
        "Stripe-Signature", "sign", "set-cookie",
    ],
)  # fmt: skip
def test_secret_fields_are_masked_by_name(name: str, machine: io.StringIO) -> None:
    """Whatever the value looks like."""
    log.info("account.read", **{name: "hunter2"})
    assert json.loads(only_line(machine))[name] == "***"


@pytest.mark.parametrize("name", ["dedup_key", "key", "shop", "assigned", "idempotency_key", "tokenised_by"])
def test_names_that_only_look_alike_are_shown(name: str, machine: io.StringIO) -> None:
    """A masked order number would help nobody."""
    log.info("callback.stored", **{name: "abc"})
    assert json.loads(only_line(machine))[name] == "abc"


def test_secrets_inside_mappings_and_lists_are_masked(machine: io.StringIO) -> None:
    """A whole header table may be logged without thinking."""
    log.info("callback.refused", headers={"authorization": "Bearer x", "host": "h"}, tokens=["a"], rows=[{"pwd": 1}])
    line = json.loads(only_line(machine))
    assert (line["headers"], line["tokens"], line["rows"]) == (
        {"authorization": "***", "host": "h"},
        "***",
        [{"pwd": 1}],
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no such key: sk_live_51AbCdEf", "no such key: ***"),
        ("secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw is old", "secret *** is old"),
        ("cannot reach postgresql://paidup:hunter2@db:5432/x", "cannot reach postgresql://***@db:5432/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----!", "***!"),
        ("task_live_1 and https://example.com/@me stay", "task_live_1 and https://example.com/@me stay"),
    ],
)
def test_what_looks_like_a_key_is_masked_in_any_text(text: str, shown: str) -> None:
    """Error messages quote what they were given."""
    assert log.masked_text(text) == shown


def test_a_value_cannot_forge_a_second_line(machine: io.StringIO, person: io.StringIO) -> None:
    """Line breaks from outside stay inside their value."""
    log.info("callback.refused", why='x\n08:00:00 info payment.paid payment_id="forged"')
    assert len(person.getvalue().splitlines()) == 1
    log.set_up(machine)
    log.info("callback.refused", why="x\ny")
    assert len(machine.getvalue().splitlines()) == 1


def test_a_field_cannot_replace_the_name_of_the_event(machine: io.StringIO) -> None:
    """A field that is called like a part of the line itself is kept beside it."""
    log.info("refund.failed", level="worst", at="noon")
    line = json.loads(only_line(machine))
    assert (line["level"], line["level_"], line["at_"]) == ("info", "worst", "noon")


def test_long_values_are_cut(machine: io.StringIO) -> None:
    """A line stays a line that a collector accepts."""
    log.info("callback.refused", body=b"x" * 100_000)
    assert len(only_line(machine)) < log.MAX_VALUE_CHARS + 200


def test_errors_are_shown_with_their_kind(machine: io.StringIO) -> None:
    """Kind and words, and nothing secret in the words."""
    log.error("worker.failed", error=ConnectionError("lost postgresql://u:hunter2@db"))
    assert json.loads(only_line(machine))["error"] == "ConnectionError: lost postgresql://***@db"


def test_what_a_library_says_is_a_line_among_ours(machine: io.StringIO) -> None:
    """With the error and the way to it, on one line; what it would only like to mention is left out."""
    library = logging.getLogger("somebody.else")
    library.info("connected")
    try:
        _fails()
    except ValueError:
        library.warning("could not connect to %s\n", "postgresql://u:hunter2@db", exc_info=True)
    line = json.loads(only_line(machine))
    way = re.sub(r":\d+", "", line.pop("where"))
    assert line.pop("at").endswith("Z")
    assert (way, line) == (
        "test_log.py test_what_a_library_says_is_a_line_among_ours > test_log.py _fails",
        {
            "level": "warning", "event": "library.said", "library": "somebody.else",
            "says": "could not connect to postgresql://***@db", "error": "ValueError: no",
        },
    )  # fmt: skip


def _fails() -> None:
    raise ValueError("no")


def test_a_second_set_up_replaces_the_first(machine: io.StringIO) -> None:
    """Nothing is said twice, and the handlers of others stay."""
    before = {*logging.getLogger().handlers}
    log.set_up(later := io.StringIO())
    logging.getLogger("somebody.else").error("once")
    assert ("", 1) == (machine.getvalue(), len(later.getvalue().splitlines()))
    assert (1, 1) == (len(before - {*logging.getLogger().handlers}), len({*logging.getLogger().handlers} - before))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"id":"pi_1","client_secret" : "pi_1_secret_x"}', b'{"id":"pi_1","client_secret" : "***"}'),
        (b'{"client_secret":"a\\"b","n":1}', b'{"client_secret":"***","n":1}'),
        (b'{"n":1,"client_secret":"cut o', b'{"n":1,"client_secret":"***"'),
        (b'{"n":1,"client_secret":"cut\\', b'{"n":1,"client_secret":"***"'),
        (b"no json \xff at all", b"no json \xff at all"),
    ],
)
def test_secret_fields_of_a_json_answer_are_masked(body: bytes, shown: bytes) -> None:
    """Also where the text was cut in the middle of the secret."""
    assert log.masked_json(body) == shown


def test_secret_parameters_of_a_target_are_masked() -> None:
    """An Alipay request carries its signature in the query."""
    assert log.masked_query("/gateway.do?app_id=1&sign=ab%2Bc&x") == "/gateway.do?app_id=1&sign=***&x"
    assert log.masked_query("/v3/certificates") == "/v3/certificates"


def test_half_a_character_and_huge_numbers_are_shown(machine: io.StringIO) -> None:
    """What UTF-8 cannot hold, or what no other machine can count, costs no line."""
    log.info("file.refused", name="bill\udcff.csv", size_bytes=2**70)
    line = json.loads(only_line(machine))
    assert (line["name"], int(line["size_bytes"])) == ("bill\udcff.csv", 2**70)


class Counted(io.StringIO):
    """A stream that counts what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def test_the_lines_of_a_batch_are_written_at_once_and_whole() -> None:
    """Also those of a batch that breaks half-way; afterwards each line is written when it is told."""
    stream = Counted()
    log.set_up(stream)
    with contextlib.suppress(KeyError), log.at_once():
        for n in range(50):
            log.info("delivery.delivered", n=n)
        assert 0 == stream.writes
        raise KeyError
    assert 1 == stream.writes
    log.info("delivery.delivered", n=50)
    log.set_up()
    assert list(range(51)) == [json.loads(line)["n"] for line in stream.getvalue().splitlines()]


def test_a_batch_is_told_to_nobody_where_nobody_listens(machine: io.StringIO) -> None:
    """A stream that is gone, or an application that set up its own logging, stops no work."""
    with log.at_once():
        log.info("delivery.delivered")
        machine.close()
    logging.getLogger("paidup").handlers = []
    with log.at_once():
        log.info("delivery.delivered")
