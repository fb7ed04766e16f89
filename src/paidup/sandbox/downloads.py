"""Bills that are fetched from an address: from when on there are any, and how long an address works."""

from datetime import date, datetime, time, timedelta

from paidup.errors import InvalidRequest
from paidup.sandbox.bill_cells import BEIJING
from paidup.sandbox.wire import Ask

_OPENS = time(10)


def is_past(day: date, now: datetime) -> bool:
    """Whether this day is over in Beijing."""
    return day < now.astimezone(BEIJING).date()


def is_open(day: date, now: datetime) -> bool:
    """Bills are made in the morning of the next day."""
    return now >= datetime.combine(day + timedelta(days=1), _OPENS, BEIJING)


def origin_of(ask: Ask) -> str:
    """Where the sandbox was reached."""
    return f"http://{ask.headers.get('host', '127.0.0.1')}"


def token_parts(ask: Ask, name: str, parts: int) -> list[str]:
    """What a token in the query was made of. Raises InvalidRequest."""
    found = ask.query().get(name, "").split(".")
    if len(found) != parts:
        raise InvalidRequest(f"{name} is none that was given out")
    return found


def lives(made: str, now: datetime, lives_s: int) -> bool:
    """Whether what was given out at this moment (Unix time) works still."""
    return made.isascii() and made.isdigit() and len(made) < 12 and 0 <= now.timestamp() - int(made) < lives_s + 1
