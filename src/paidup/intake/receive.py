"""THE ENTRANCE: verify, make durable, acknowledge. No business work happens here.

A 200 is a promise: `receive` returns the channel's success only once raw bytes, headers and what they say are
committed. What cannot be verified gets the channel's own refusal, and its bytes are kept (bounded per source), because
it may be our key that is wrong.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup import ids
from paidup.apply import Nothing
from paidup.channels.accounts import AccountsFolder
from paidup.channels.messages import CallbackRequest, Reading, Reply
from paidup.channels.registry import CHANNELS
from paidup.db.flusher import Flusher
from paidup.db.transaction import Database, Tx
from paidup.errors import CallbackRefused, NotFound, Verdict
from paidup.intake import inbox, quarantine
from paidup.metrics.process import Queue

_PROBE_OR_NOISE = frozenset((Verdict.PROBE,))
"""Refused on purpose and expected: counted, never kept."""

_MAX_SOURCES = 10_000
MAX_KEPT_BYTES_AN_HOUR = 64 << 20
"""Of all sources together: addresses are cheap. It is room for twenty thousand honest callbacks."""


class Received(msgspec.Struct, frozen=True):
    """What `receive` answers, and what it counted it as (a Verdict, for the metrics)."""

    reply: Reply
    verdict: Verdict
    callback_id: str | None


class Receiver:
    """The entrance of one process: it holds the flushers, and counts what it refused from whom.

    keep_per_source, keep_bytes: how many refused callbacks of one source, and how many bytes of all, are kept an hour.
    """

    def __init__(
        self,
        db: Database,
        accounts: AccountsFolder,
        *,
        max_waiting: int,
        keep_per_source: int,
        keep_bytes: int = MAX_KEPT_BYTES_AN_HOUR,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._inbox = Flusher(self._write_inbox, max_waiting=max_waiting)
        self._quarantine = Flusher(self._write_quarantine, max_waiting=max_waiting, lanes=1)
        self._keep_per_source = keep_per_source
        self._keep_bytes = keep_bytes
        self._hour = ""
        self._kept: Counter[str] = Counter()
        self._kept_bytes = 0
        self.counts: Counter[tuple[str, Verdict]] = Counter()
        self.queues = (
            Queue("inbox", lambda: self._inbox.waiting, max_waiting),
            Queue("quarantine", lambda: self._quarantine.waiting, max_waiting),
        )

    async def receive(
        self, request: CallbackRequest, channel_name: str, account_name: str, *, source: str, now: datetime
    ) -> Received:
        """Take in one callback. Raises NotFound for an unknown account, Overloaded when full."""
        channel = CHANNELS.get(channel_name)
        try:
            if channel is None:
                raise NotFound(f"there is no channel {channel_name!r}")
            account = self._accounts.current.get(channel_name, account_name)
        except NotFound as error:
            refusal = CallbackRefused(Verdict.UNKNOWN_ACCOUNT, str(error))
            await self._refuse(request, channel_name, account_name, refusal, source, now)
            # Which accounts there are stands in the quarantine; it is nothing for a stranger.
            raise NotFound(f"no channel account {channel_name}/{account_name}"[:200]) from None
        try:
            reading = channel.read_callback(request, account, now)
        except CallbackRefused as refusal:
            await self._refuse(request, channel_name, account_name, refusal, source, now)
            return Received(channel.refused(refusal), refusal.verdict, None)
        row = received(request, reading, shop=account.shop, channel=channel_name, account=account_name, now=now)
        await self._inbox.put(row)
        self.counts[channel_name, Verdict.VALID] += 1
        return Received(channel.accepted(), Verdict.VALID, row.id)

    async def close(self) -> None:
        """Wait until everything that was taken in is durable."""
        await self._inbox.close()
        await self._quarantine.close()

    async def _refuse(
        self, request: CallbackRequest, channel: str, account: str, refusal: CallbackRefused, source: str, now: datetime
    ) -> None:
        """Count a refusal, and keep its bytes unless this source has had its share of this hour."""
        known = channel if channel in CHANNELS else "unknown"
        self.counts[known, refusal.verdict] += 1
        if refusal.verdict in _PROBE_OR_NOISE or not self._may_keep(source, _size(request), now):
            return
        await self._quarantine.put(
            quarantine.Refused(
                id=ids.new_id("qua", now),
                received_at=now,
                channel=channel[:40],
                account=account[:80],
                source=source[:80],
                verdict=refusal.verdict,
                why=refusal.why[:500],
                target=request.target[:2000],
                headers=headers_json(request),
                body=request.body,
            )
        )

    def _may_keep(self, source: str, size_bytes: int, now: datetime) -> bool:
        hour = now.strftime("%Y-%m-%dT%H")
        if hour != self._hour:
            self._hour = hour
            self._kept.clear()
            self._kept_bytes = 0
        if self._kept[source] >= self._keep_per_source or self._kept_bytes + size_bytes > self._keep_bytes:
            return False
        if source not in self._kept and len(self._kept) >= _MAX_SOURCES:
            return False
        self._kept[source] += 1
        self._kept_bytes += size_bytes
        return True

    async def _write_inbox(self, rows: Sequence[inbox.Received]) -> None:
        await self._db.write(inbox.STORE, *inbox.columns(rows))

    async def _write_quarantine(self, rows: Sequence[quarantine.Refused]) -> None:
        async with self._db.transaction() as tx:
            await quarantine.store(tx, rows)


def received(
    request: CallbackRequest, reading: Reading, *, shop: str, channel: str, account: str, now: datetime
) -> inbox.Received:
    """The row of a verified callback."""
    refs = [e.merchant_ref for e in reading.evidence if e.merchant_ref]
    return inbox.Received(
        id=ids.new_id(ids.CALLBACK, now),
        received_at=now,
        shop=shop,
        channel=channel,
        account=account,
        dedup_key=reading.key,
        kind=reading.kind,
        target=request.target,
        headers=headers_json(request),
        body=request.body,
        merchant_ref=refs[0] if refs else None,
        evidence=msgspec.json.encode(reading.evidence or (Nothing(kind=reading.kind),)).decode(),
    )


def _size(request: CallbackRequest) -> int:
    return len(request.body) + sum(len(name) + len(value) for name, value in request.headers)


def headers_json(request: CallbackRequest) -> str:
    """All headers as they came, in order, as JSON; authorization is masked (some channels sign with basic auth)."""
    masked = [(name, "***" if name in ("authorization", "cookie") else value) for name, value in request.headers]
    return msgspec.json.encode(masked).decode()


async def replay(
    tx: Tx, kept: quarantine.Refused, accounts: AccountsFolder, now: datetime, *, as_of: datetime | None = None
) -> Verdict:
    """Verify a quarantined callback again, with today's keys at the time it came; a valid one enters the inbox.

    The freshness rule is judged by the time of receipt, which we recorded ourselves.
    """
    request = CallbackRequest(
        method="POST",
        target=kept.target,
        headers=msgspec.json.decode(kept.headers, type=tuple[tuple[str, str], ...]),
        body=kept.body,
    )
    try:
        channel = CHANNELS[kept.channel]
        account = accounts.current.get(kept.channel, kept.account)
        reading = channel.read_callback(request, account, as_of or kept.received_at)
    except (KeyError, NotFound):
        await quarantine.mark(tx, kept.id, now, "still refused: unknown account")
        return Verdict.UNKNOWN_ACCOUNT
    except CallbackRefused as refusal:
        await quarantine.mark(tx, kept.id, now, f"still refused: {refusal}"[:500])
        return refusal.verdict
    row = received(request, reading, shop=account.shop, channel=kept.channel, account=kept.account, now=now)
    await inbox.store(tx, [row])
    await quarantine.mark(tx, kept.id, now, f"accepted as {row.id}")
    return Verdict.VALID
