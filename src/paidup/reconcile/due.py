"""When is a bill asked for next? Pure."""

from datetime import datetime, timedelta

ALARM_AFTER = timedelta(hours=1)
"""A bill that is not there so long after it should be (WeChat Pay and Alipay: at 11 o'clock) is told to people."""
EMPTY_AFTER = timedelta(days=1)
"""So long "there is no bill" is doubted while we hold payments of that day; then they count as missing in it."""
GIVE_UP_AFTER = timedelta(days=14)
MADE_ON_DEMAND = timedelta(seconds=20)


def next_ask(now: datetime, ready_at: datetime, *, is_made_on_demand: bool = False) -> datetime | None:
    """None: it is given up, and a person must see to it."""
    if is_made_on_demand:
        return now + MADE_ON_DEMAND
    late = now - ready_at
    if late < timedelta(0):
        return ready_at
    if late > GIVE_UP_AFTER:
        return None
    if late < ALARM_AFTER:
        return now + timedelta(minutes=5)
    return now + (timedelta(minutes=15) if late < timedelta(days=1) else timedelta(hours=2))


def should_alarm(now: datetime, ready_at: datetime, *, tries: int = 0, is_made_on_demand: bool = False) -> bool:
    """Whether somebody must be told that it is still not there.

    What the channel makes because we asked is late by when we began to ask, however long its time was over then.
    """
    if is_made_on_demand and tries * MADE_ON_DEMAND < ALARM_AFTER:
        return False
    return now >= ready_at + ALARM_AFTER
