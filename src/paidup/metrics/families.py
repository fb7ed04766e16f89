"""Every metric there is: name, kind, labels, what it means. docs/reference/metrics.md is written from this table.

Labels are words of ours or names of accounts that the operator wrote down; nothing that a sender chooses, no id, no
person, no secret. So the number of series is bounded by the number of accounts.
"""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """Prometheus' own words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Who knows it, which says how the figures of several processes are put together."""

    DATABASE = "database"  # the same in every process: take the max
    PROCESS = "process"  # each process's own: take the sum


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. buckets: the upper bounds of a histogram, in the unit of the name."""

    name: str
    kind: Kind
    source: Source
    says: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, says: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.COUNTER, source=_source(name), says=says, labels=labels)


def _gauge(name: str, says: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.GAUGE, source=_source(name), says=says, labels=labels)


def _histogram(name: str, says: str, *labels: str, buckets: tuple[float, ...]) -> Family:
    return Family(name=name, kind=Kind.HISTOGRAM, source=_source(name), says=says, labels=labels, buckets=buckets)


def _source(name: str) -> Source:
    return Source.PROCESS if name.startswith("paidup_process_") else Source.DATABASE


CALL_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PAID_S = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 86400.0)
ACKNOWLEDGED_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LATE_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

# Counted from the rows of this UTC day, so that each begins anew at midnight UTC.
CALLBACKS = _counter("paidup_callbacks_total", "verified callbacks that were made durable", "channel", "account")
QUARANTINED = _counter(
    "paidup_callbacks_quarantined_total", "callbacks that could not be verified and were kept", "channel", "verdict"
)
DECISIONS = _counter("paidup_decisions_total", "evidence weighed at the door, by where it came from", "road", "outcome")
PAID = _counter("paidup_payments_paid_total", "payments that became paid, by the road that told us", "channel", "road")
PAID_AFTER = _histogram(
    "paidup_payment_known_seconds",
    "from the moment the money moved at the channel to the moment the order knew of it",
    "road",
    buckets=PAID_S,
)
EVENTS = _counter("paidup_events_total", "events written for the shop: orders paid, payments closed, refunds …", "type")
CALLS = _counter(
    "paidup_channel_calls_total", "calls to channels, by what is certain afterwards", "channel", "purpose", "outcome"
)
CALL_TOOK = _histogram("paidup_channel_call_seconds", "how long a call to a channel took", "channel", buckets=CALL_S)
ATTEMPTS = _counter("paidup_delivery_attempts_total", "attempts to tell the shop", "outcome")
ATTEMPT_TOOK = _histogram(
    "paidup_delivery_attempt_seconds", "how long the shop's endpoint took to answer", buckets=CALL_S
)

QUEUED = _gauge("paidup_inbox_callbacks", "callbacks in the queue for the door", "state")
QUEUE_LATE = _gauge("paidup_inbox_overdue_seconds", "for how long the oldest callback has been due for the door")
QUESTIONS = _gauge("paidup_questions_waiting", "unfinished payments and refunds that will be asked about", "kind")
QUESTIONS_OVERDUE = _gauge("paidup_questions_overdue", "of those, questions whose time has come", "channel", "kind")
QUESTIONS_LATE = _gauge("paidup_questions_overdue_seconds", "for how long the oldest question has been due")
OUTBOX = _gauge("paidup_outbox_events", "events that were not given to the endpoints yet")
OUTBOX_LATE = _gauge("paidup_outbox_oldest_seconds", "age of the oldest of them")
LANES = _gauge("paidup_deliveries_waiting", "orders with something that an endpoint has not accepted yet")
LANES_LATE = _gauge("paidup_deliveries_oldest_seconds", "age of the oldest event that waits at the head of its order")
GIVEN_UP = _gauge("paidup_deliveries_given_up", "dead letters, and what disabled endpoints were not told", "state")
ENDPOINTS_OFF = _gauge("paidup_endpoints_disabled", "endpoints that are switched off or answered 410")
CASES = _gauge("paidup_cases_open", "cases that wait for a person", "kind")
CASES_LATE = _gauge("paidup_cases_oldest_seconds", "age of the oldest open case")
LAST_CALLBACK = _gauge(
    "paidup_last_callback_seconds",
    "since the last callback of an account; 86400 means a day or more",
    "channel",
    "account",
)
BUDGET = _gauge("paidup_query_budget_tokens", "questions that may be asked at once", "channel", "account")
VERIFY_HOLDS = _gauge("paidup_verify_holds", "1 if the last `paidup verify` found every sum right, 0 if not")
VERIFY_AGE = _gauge("paidup_verify_age_seconds", "since the last `paidup verify` began")
DATABASE_BYTES = _gauge("paidup_database_bytes", "size of the database on its disk")
PARTITIONS_AHEAD = _gauge("paidup_partition_days_ahead", "days after today that have their partition already", "table")
BILLS_OVERDUE = _gauge(
    "paidup_bills_overdue",
    "bills that are not there, or cannot be read, an hour after their time or later",
    "channel",
    "account",
)
BREAKS = _gauge("paidup_breaks_open", "differences between a bill and our books that are not settled", "kind", "state")
BREAKS_LATE = _gauge("paidup_breaks_oldest_seconds", "age of the oldest of them that waits for a person")
SOLD_OUT = _gauge("paidup_skus_sold_out", "articles of which nothing is left to order")
OVERSOLD = _gauge("paidup_skus_oversold", "articles of which more was promised than may be; must be 0")
TRANSACTIONS = _gauge(
    "paidup_transactions_unfinished",
    "transactions across services that have not ended; MANUAL: a person decides",
    "state",
)
TRANSACTIONS_LATE = _gauge("paidup_transactions_overdue_seconds", "for how long the next step of one has been due")
TRANSACTIONS_OLDEST = _gauge("paidup_transactions_oldest_seconds", "since the oldest unfinished one began")
READ_TOOK = _gauge("paidup_database_read_seconds", "how long reading these figures took")
UP = _gauge("paidup_database_up", "1 if the figures of the database could be read, 0 if not")

REQUESTS = _counter("paidup_process_requests_total", "answered HTTP requests", "part", "status")
ACKNOWLEDGED = _histogram(
    "paidup_process_callback_seconds", "from a callback's first byte to our answer", buckets=ACKNOWLEDGED_S
)
VERDICTS = _counter("paidup_process_callbacks_total", "callbacks by what verification said", "channel", "verdict")
FLUSHER = _gauge(
    "paidup_process_flusher_waiting", "callbacks that wait for the commit that makes them durable", "queue"
)
FLUSHER_ROOM = _gauge("paidup_process_flusher_limit", "how many may wait before more are answered 503", "queue")
LATE = _histogram("paidup_process_loop_late_seconds", "how late the event loop woke us, once a second", buckets=LATE_S)
ROUNDS = _counter("paidup_process_rounds_total", "rounds of the workers", "worker", "outcome")
ROUND_AGE = _gauge("paidup_process_round_age_seconds", "since the last good round of a worker", "worker")
CHANNEL_BREAKER = _gauge(
    "paidup_process_channel_breaker_open", "1 if calls to the account are held back", "channel", "account"
)
ENDPOINT_BREAKERS = _gauge("paidup_process_endpoint_breakers_open", "endpoints that are left alone but for probes")
DRAINING = _gauge("paidup_process_draining", "1 once the process was told to end")
BUILD = _gauge("paidup_process_build_info", "always 1; the label tells the version", "version")

FAMILIES: tuple[Family, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Family))
