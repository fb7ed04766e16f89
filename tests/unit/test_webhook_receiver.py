"""The receiver among the examples, and the message on the page that explains it, which is signed as ours are."""

import importlib.util
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from paidup.delivery import sign

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "hear-of-it.md").read_text(encoding="utf-8")
HEAD, _, BODY = re.findall(r"^```http\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0].rstrip("\n").partition("\n\n")
HEADERS = dict(line.split(": ", 1) for line in HEAD.splitlines()[1:])
SECRET = re.findall(r"`(whsec_[^`…]+)`", PAGE)[0]
SENT_S = int(HEADERS["webhook-timestamp"])


@pytest.fixture(scope="module")
def receiver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("webhook_receiver", ROOT / "examples" / "webhook_receiver.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_message_on_the_page_is_what_we_would_send() -> None:
    """Whoever tries their own code on it finds the signature right."""
    sent_at = datetime.fromtimestamp(SENT_S, UTC)
    assert HEADERS == dict(sign.headers(HEADERS["webhook-id"], sent_at, BODY.encode(), [SECRET]))


def test_the_example_takes_it_and_ships_once(receiver: ModuleType) -> None:
    """Sent twice, also while the secret is being rotated: one shipment."""
    another = sign.secret_text(b"another key, which is as long as")
    rotated = sign.headers(HEADERS["webhook-id"], datetime.fromtimestamp(SENT_S, UTC), BODY.encode(), [another, SECRET])
    with closing(sqlite3.connect(":memory:")) as database:
        for headers in (HEADERS, dict(rotated)):
            receiver.apply(database, receiver.read(headers, BODY.encode(), SECRET, SENT_S + 60.0))
        assert [("A-1001", 1250)] == database.execute("SELECT * FROM shipments").fetchall()


@pytest.mark.parametrize(
    ("changed", "body", "later_s"),
    [
        ({}, BODY.replace("1250", "1251"), 0),
        ({}, BODY, 301),
        ({"webhook-id": "evt2"}, BODY, 0),
        ({"webhook-signature": "v1,"}, BODY, 0),
        ({"webhook-timestamp": "now"}, BODY, 0),
    ],
)
def test_the_example_refuses_what_we_did_not_sign(
    receiver: ModuleType, changed: dict[str, str], body: str, later_s: int
) -> None:
    """Another amount, an old message, another id, no signature, no time."""
    with pytest.raises(receiver.Untrusted):
        receiver.read(HEADERS | changed, body.encode(), SECRET, float(SENT_S + later_s))
