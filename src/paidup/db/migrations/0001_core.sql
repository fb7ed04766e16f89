-- The core: what is owed, what was paid, what the channels said, and what must still be done.
--
-- Every table either is partitioned by day, or says in its comment how long its rows are kept. Nothing that guards
-- against paying twice expires: that is unique (channel, account, channel_txn_id) on payments and refunds.

create table shops (
    shop          text primary key check (shop ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
    late_payment  text not null default 'reopen' check (late_payment in ('reopen', 'refund')),
    created_at    timestamptz not null
);
comment on table shops is 'retention: for ever';
comment on column shops.late_payment is 'what happens when money arrives for a closed order';

create table api_keys (
    id          text primary key,
    shop        text not null references shops,
    key_hash    bytea not null unique,
    scopes      text[] not null,
    created_at  timestamptz not null,
    revoked_at  timestamptz
);
comment on table api_keys is 'retention: for ever (revoked keys are kept for the audit)';

-- In unique keys the number stands first: an index that begins with the channel and account is chosen for either number
-- while a table has no statistics yet, and then reads a whole account for each look-up (9 times slower at 8,000 rows).

-- Pages of the books are filled: becoming paid changes an indexed column (the order's state, the payment's number at the
-- channel), so that no room left beside the row spares the indexes. Measured: 0 of 6,000 updates were spared them at
-- fillfactor 85, at the same rate, in 7 % more space. Without orders_by_expiry and at fillfactor 50, 88 % of the orders'
-- are, and that gains nothing: 4.8 instead of 5.1 kB of WAL for each paid order, at the same rate.

-- Money ------------------------------------------------------------------------------------------------------------

create table orders (
    id             text primary key,
    shop           text not null references shops,
    shop_order_no  text not null,
    amount_minor   bigint not null check (amount_minor > 0),
    currency       char(3) not null,
    description    text not null default '',
    state          text not null,
    late_payment   text not null,
    paid_by        text,
    event_seq      integer not null default 0,
    chain          bytea not null default '',
    created_at     timestamptz not null,
    expires_at     timestamptz not null,
    updated_at     timestamptz not null,
    seal           bytea not null default '',
    unique (shop_order_no, shop)
);
comment on table orders is 'retention: for ever (the books)';
comment on column orders.chain is 'head of the chain of decisions that changed the order, its payments or refunds';
comment on column orders.seal is 'fingerprint of the row: verify names a row that was edited by hand';
create index orders_by_change on orders using brin (updated_at);
create index orders_by_expiry on orders (expires_at) where state = 'unpaid';

create table payments (
    id              text primary key,
    shop            text not null,
    order_id        text not null references orders,
    channel         text not null,
    account         text not null,
    method          text not null,
    merchant_ref    text not null,
    channel_txn_id  text,
    payee           text not null,
    amount_minor    bigint not null check (amount_minor > 0),
    currency        char(3) not null,
    state           text not null,
    refunded_minor  bigint not null default 0 check (refunded_minor >= 0),
    received_minor  bigint not null default 0 check (received_minor >= 0),
    received_currency text not null default '',
    dispute_id      text,
    dispute_says    text,
    registered      boolean not null,
    extra           jsonb not null default '{}',
    pay_with        jsonb not null default '{}',
    created_at      timestamptz not null,
    expires_at      timestamptz not null,
    paid_at         timestamptz,
    updated_at      timestamptz not null,
    seal            bytea not null default '',
    unique (merchant_ref, account, channel),
    unique (channel_txn_id, account, channel)
);
comment on table payments is 'retention: for ever (the books; its channel_txn_id is the key that never expires)';
create index payments_by_order on payments (order_id);

create table refunds (
    id                 text primary key,
    shop               text not null,
    order_id           text not null references orders,
    payment_id         text not null references payments,
    channel            text not null,
    account            text not null,
    merchant_ref       text not null,
    channel_refund_id  text,
    amount_minor       bigint not null check (amount_minor > 0),
    currency           char(3) not null,
    state              text not null,
    cause              text not null check (cause in ('requested', 'second_payment', 'late_payment', 'held', 'at_channel')),
    reason             text not null default '',
    settled_at         timestamptz,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    seal               bytea not null default '',
    unique (merchant_ref, account, channel),
    unique (channel_refund_id, account, channel)
);
comment on table refunds is 'retention: for ever (the books)';
create index refunds_by_order on refunds (order_id);

-- What must be asked or sent next: one row per unfinished payment or refund. due_at in the future is also the lease of
-- the worker that holds it; `lease` tells a late worker that somebody else took over.
create table due (
    subject_id  text primary key,
    kind        text not null check (kind in ('payment', 'refund')),
    channel     text not null,
    account     text not null,
    due_at      timestamptz not null,
    asked       integer not null default 0,
    asked_at    timestamptz,
    lease       bigint not null default 0
) with (fillfactor = 70); -- each question changes the row twice: with room beside it 4 % less WAL; the rate is the same
comment on table due is 'retention: until the payment or refund is settled';
create index due_by_time on due (due_at);

-- How many questions an account may still be asked now: a token bucket shared by all workers.
create table query_budgets (
    channel  text not null,
    account  text not null,
    tokens   double precision not null,
    at       timestamptz not null,
    primary key (channel, account)
) with (fillfactor = 50);
comment on table query_budgets is 'retention: for ever (one row per account)';

create table cases (
    id           text primary key,
    shop         text not null,
    kind         text not null,
    subject_id   text not null,
    order_id     text,
    why          text not null,
    opened_at    timestamptz not null,
    resolved_at  timestamptz,
    resolution   text
);
comment on table cases is 'retention: for ever (decisions of people about money)';
create unique index cases_open_once on cases (kind, subject_id) where resolved_at is null;
create index cases_by_order on cases (order_id);
create index cases_by_subject on cases (subject_id);

-- The inbox --------------------------------------------------------------------------------------------------------

create table inbox (
    id           text not null,
    received_at  timestamptz not null,
    shop         text not null,
    channel      text not null,
    account      text not null,
    dedup_key    text not null,
    kind         text not null,
    target       text not null,
    headers      text not null,
    body         bytea not null,
    primary key (id, received_at)
) partition by range (received_at);
create table inbox_rest partition of inbox default;
comment on table inbox is 'raw bytes of every callback that was acknowledged';

create index inbox_by_account on inbox (channel, account, received_at);

create table inbox_queue (
    seq           bigint generated always as identity primary key,
    callback_id   text not null,
    received_at   timestamptz not null,
    shop          text not null,
    channel       text not null,
    account       text not null,
    merchant_ref  text,
    evidence      text not null,
    state         text not null default 'waiting' check (state in ('waiting', 'parked', 'poisoned')),
    available_at  timestamptz not null,
    attempts      integer not null default 0,
    why           text not null default ''
);
comment on table inbox_queue is 'retention: until applied; parked and poisoned rows stay until a person or evidence settles them';
create index inbox_queue_waiting on inbox_queue (available_at, seq) where state <> 'poisoned';
create index inbox_queue_parked on inbox_queue (channel, account, merchant_ref) where state = 'parked';
create index inbox_queue_by_callback on inbox_queue (callback_id);

create table quarantine (
    id           text primary key,
    received_at  timestamptz not null,
    channel      text not null,
    account      text not null,
    source       text not null,
    verdict      text not null,
    why          text not null,
    target       text not null,
    headers      text not null,
    body         bytea not null,
    replayed_at  timestamptz,
    replay_note  text
);
comment on table quarantine is 'retention: 30 days, and at most PAIDUP_QUARANTINE_PER_SOURCE rows per source and hour';
create index quarantine_by_time on quarantine (received_at);

-- The journal ------------------------------------------------------------------------------------------------------

create table decisions (
    id           text not null,
    decided_at   timestamptz not null,
    road         text not null,
    outcome      text not null check (outcome in ('applied', 'repeated', 'parked', 'rejected', 'ignored')),
    why          text not null,
    shop         text not null,
    callback_id  text,
    order_id     text,
    payment_id   text,
    refund_id    text,
    before       text,
    after        text,
    evidence     text not null,
    event_seq    integer,
    told         bytea,
    prev         bytea,
    primary key (id, decided_at)
) partition by range (decided_at);
create table decisions_rest partition of decisions default;
comment on table decisions is 'every weighing of evidence, with its reason word for word';
comment on column decisions.event_seq is 'number of the last event that the order had after this decision';
comment on column decisions.told is 'fingerprint of the events that this decision announced';
comment on column decisions.prev is 'link: fingerprint of the decision that changed the order before this one';
create index decisions_by_order on decisions (order_id);
create index decisions_of_queries on decisions (decided_at) where road = 'query';
create index decisions_by_callback on decisions (callback_id);

create table channel_calls (
    id          text not null,
    called_at   timestamptz not null,
    shop        text not null,
    channel     text not null,
    account     text not null,
    subject_id  text not null,
    purpose     text not null,
    outcome     text not null,
    why         text not null,
    status      integer,
    elapsed_ms  integer not null,
    answer      text not null,
    primary key (id, called_at)
) partition by range (called_at);
create table channel_calls_rest partition of channel_calls default;
comment on table channel_calls is 'every call to a channel and what came back';
create index channel_calls_by_subject on channel_calls (subject_id);

create table verifications (
    began_at  timestamptz primary key,
    since     timestamptz,
    up_to     timestamptz,
    orders    bigint not null,
    holds     boolean not null,
    anchor    text not null,
    checks    text not null
);
comment on table verifications is 'retention: for ever (what was proven, and when; one row per run of verify)';

-- The outbox -------------------------------------------------------------------------------------------------------

create table events (
    id           text not null,
    created_at   timestamptz not null,
    shop         text not null,
    type         text not null,
    order_id     text not null,
    seq          integer not null,
    subject_id   text not null,
    data         text not null,
    primary key (id, created_at)
) partition by range (created_at);
create table events_rest partition of events default;
comment on table events is 'what the shop is told; seq counts per order without gaps';
create index events_by_order on events (order_id, seq);
create index events_by_shop on events (shop, created_at, id);

create table outbox_queue (
    event_id    text not null,
    shop        text not null,
    order_id    text not null,
    seq         integer not null,
    type        text not null,
    created_at  timestamptz not null,
    primary key (order_id, seq)
);
comment on table outbox_queue is 'retention: until the event has been given to every endpoint';
create index outbox_queue_by_time on outbox_queue (created_at, event_id);

create table idempotency_keys (
    shop          text not null,
    key           text not null,
    request_hash  bytea not null,
    status        integer,
    answer        text,
    created_at    timestamptz not null,
    primary key (shop, key)
);
comment on table idempotency_keys is 'retention: 30 days';
create index idempotency_keys_by_time on idempotency_keys (created_at);
