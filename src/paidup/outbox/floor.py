"""Where a look at a queue begins: that of events, and that of callbacks.

A row that was taken leaves its entry in the index until a vacuum comes, and whoever asks for the oldest rows walks over
all of these: at 2,000 paid orders a second, after a minute, 2.3 ms for each batch instead of 0.4. So a worker begins a
little before the oldest row that it took last. Rows are dated when their work began and become visible when it is
committed; once a second it looks at all, for those whose commit came later than that.

A vacuum takes away nothing that a transaction which began before may still read: while a backup or a verification
reads, all that was taken since then is walked over.
"""

from datetime import UTC, datetime, timedelta

BEGINNING = datetime.min.replace(tzinfo=UTC)
LATE = timedelta(seconds=5)
"""An event that is committed within this after its date is found by the next look."""
WHOLE_EVERY = timedelta(seconds=1)
"""Any other one within this."""


class Floor:
    """What one worker remembers of its looks."""

    def __init__(self) -> None:
        self._from = BEGINNING
        self._whole_at: datetime | None = None

    def begin(self, now: datetime) -> datetime:
        """Where a look at `now` begins."""
        if self._whole_at is not None and self._whole_at <= now < self._whole_at + WHOLE_EVERY:
            return self._from
        self._whole_at = now
        return BEGINNING

    def took(self, oldest: datetime | None) -> None:
        """The date of the oldest event of a look; None: it found nothing, so that the next one looks at all."""
        if oldest is None:
            self._whole_at = None
        else:
            self._from = oldest - LATE
