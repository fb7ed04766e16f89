-- Reconciliation 对账: the channels' bills, what was found when they were laid beside our books, and what became of it.
--
-- A bill's lines are not kept as rows: the file itself is kept, and every line that differs stands in its break. Days are
-- days of the channel's own time zone.

-- Bills ------------------------------------------------------------------------------------------------------------

create table bills (
    id          text primary key,
    shop        text not null,
    channel     text not null,
    account     text not null,
    kind        text not null check (kind in ('trades', 'funds')),
    day         date not null,
    version     integer not null check (version > 0),
    state       text not null check (state in ('kept', 'sound', 'refused', 'none')),
    fault       text not null default '',
    why         text not null default '',
    source      text not null check (source in ('fetched', 'uploaded')),
    brought_by  text not null default '',
    file_name   text not null default '',
    mapping     text not null default '',
    proof       jsonb not null default '{}',
    sha256      bytea not null,
    size_bytes  bigint not null,
    lines       bigint not null default 0,
    stated      jsonb not null default '{}',
    kept_at     timestamptz not null,
    read_at     timestamptz,
    unique (day, account, channel, kind, version)
);
comment on table bills is 'retention: for ever (what the channel said, and when; one row per file)';
comment on column bills.state is 'kept: not read yet; none: the channel says that there is none for this day';
comment on column bills.version is 'a corrected bill of the same day is the next version';
comment on column bills.stated is 'the totals that the file states of itself, in its own words';
comment on column bills.mapping is 'the description (TOML) by which an uploaded file is read';
create index bills_by_account on bills (channel, account, day desc);

create table bill_parts (
    bill_id  text not null references bills on delete cascade,
    n        integer not null,
    content  bytea not null,
    primary key (bill_id, n)
);
comment on table bill_parts is 'retention: 1100 days (the raw files, in parts of 1 MiB; their hash stays in bills)';
alter table bill_parts alter column content set storage external;  -- bills come compressed

-- When each bill is asked for next. due_at in the future is also the lease of the worker that fetches it.
create table bill_fetches (
    channel   text not null,
    account   text not null,
    kind      text not null check (kind in ('trades', 'funds')),
    day       date not null,
    state     text not null check (state in ('waiting', 'done', 'given_up')),
    due_at    timestamptz not null,
    tries     integer not null default 0,
    made_as   text,
    why       text not null default '',
    alarmed   boolean not null default false,
    primary key (day, account, channel, kind)
);
comment on table bill_fetches is 'retention: 400 days';
create index bill_fetches_due on bill_fetches (due_at) where state = 'waiting';

-- Runs -------------------------------------------------------------------------------------------------------------

create table reconciliations (
    n            bigint generated always as identity,
    id           text primary key,
    shop         text not null,
    channel      text not null,
    account      text not null,
    day          date not null,
    begins_at    timestamptz not null,
    ends_at      timestamptz not null,
    bill_id      text references bills,
    bill_version integer not null,
    began_at     timestamptz not null,
    ended_at     timestamptz not null,
    lines        bigint not null,
    matched      bigint not null,
    grouped      bigint not null default 0,
    opened       integer not null,
    reopened     integer not null,
    cleared      integer not null,
    took_ms      jsonb not null default '{}'
);
comment on table reconciliations is 'retention: for ever (what was proven, and when; the latest run of a day is what holds)';
comment on column reconciliations.begins_at is 'the day''s first moment, in the channel''s own time zone';
comment on column reconciliations.grouped is 'of the matched lines, those matched as groups (1:N, N:1)';
create index reconciliations_by_day on reconciliations (channel, account, day, n desc);
create index reconciliations_by_shop on reconciliations (shop, day);

-- Both sides of a day added up, per kind of line and currency.
create table reconciliation_sums (
    run_id            text not null references reconciliations,
    what              text not null,
    currency          char(3) not null,
    bill_lines        bigint not null,
    bill_minor        bigint not null,
    bill_fee_minor    bigint not null,
    bill_net_minor    bigint not null,
    ours              bigint not null,
    ours_minor        bigint not null,
    matched           bigint not null,
    matched_minor     bigint not null,
    primary key (run_id, what, currency)
);
comment on table reconciliation_sums is 'retention: for ever, like its run';
comment on column reconciliation_sums.what is 'payment, refund, refund_failed, dispute, dispute_won, fee, payout, unknown';

-- Breaks -----------------------------------------------------------------------------------------------------------

create table breaks (
    id              text primary key,
    shop            text not null,
    channel         text not null,
    account         text not null,
    day             date not null,
    key             text not null,
    kind            text not null,
    what            text not null,
    state           text not null check (state in ('waiting', 'open', 'approved', 'healed', 'resolved')),
    version         integer not null default 1,
    currency        char(3) not null,
    bill_minor      bigint,
    ours_minor      bigint,
    differs_minor   bigint not null,
    line            jsonb,
    ours            jsonb,
    suggestion      jsonb,
    payment_id      text,
    refund_id       text,
    order_id        text,
    channel_txn_id  text,
    number          text,
    why             text not null,
    next_step       text not null,
    run_id          text not null references reconciliations,
    first_seen_at   timestamptz not null,
    changed_at      timestamptz not null,
    wait_until      timestamptz,
    tries           integer not null default 0,
    cleared_by      text,
    unique (day, account, channel, key)
);
comment on table breaks is 'retention: for ever (differences between the channel''s books and ours, and how they ended)';
comment on column breaks.key is 'what it is about; the same difference found again has the same key';
comment on column breaks.differs_minor is 'the bill''s money less ours: what would have to be booked here to agree';
comment on column breaks.suggestion is 'what a person may find to belong to it: same amount, near in time; never used by itself';
comment on column breaks.cleared_by is 'the bill of another day, or the run, that brought the other side';
comment on column breaks.version is 'grows when the same difference comes back with other money';
create index breaks_unsettled on breaks (channel, account, day) where state in ('waiting', 'open', 'approved');
create index breaks_by_shop on breaks (shop, day, id);
create index breaks_by_payment on breaks (payment_id) where payment_id is not null;
create index breaks_by_txn on breaks (channel_txn_id) where channel_txn_id is not null;

-- Who did what to a break: found, changed, asked, repaired, approved, resolved. Never edited.
create table break_steps (
    n         bigint generated always as identity,
    id        text primary key,
    break_id  text not null references breaks,
    at        timestamptz not null,
    step      text not null,
    who       text not null,
    why       text not null,
    before    text not null,
    after     text not null,
    order_id  text
);
comment on table break_steps is 'retention: for ever (who decided what about money, and why)';
create index break_steps_by_break on break_steps (break_id, n);
create index break_steps_by_order on break_steps (order_id) where order_id is not null;

-- What was repaired on a day of ours: limits are counted over it.
create table break_repairs (
    break_id      text not null references breaks,
    version       integer not null,
    day           date not null,
    channel       text not null,
    account       text not null,
    currency      char(3) not null,
    amount_minor  bigint not null,
    at            timestamptz not null,
    primary key (break_id, version)
);
comment on table break_repairs is 'retention: for ever';
create index break_repairs_by_day on break_repairs (day, channel, account);

create table break_approvals (
    break_id  text not null references breaks,
    version   integer not null,
    who       text not null,
    why       text not null,
    at        timestamptz not null,
    primary key (break_id, version, who)
);
comment on table break_approvals is 'retention: for ever; one person counts once for one version of a break';

-- Balances ---------------------------------------------------------------------------------------------------------

create table balances (
    channel         text not null,
    account         text not null,
    shop            text not null,
    day             date not null,
    currency        char(3) not null,
    opening_minor   bigint not null,
    in_minor        bigint not null,
    out_minor       bigint not null,
    fees_minor      bigint not null,
    payouts_minor   bigint not null,
    closing_minor   bigint not null check (closing_minor = opening_minor + in_minor - out_minor - fees_minor - payouts_minor),
    trades_minor    bigint not null,
    funds_minor     bigint,
    run_id          text not null references reconciliations,
    primary key (day, account, channel, currency)
);
comment on table balances is 'retention: for ever (the merchant''s balance at the channel, day by day)';
comment on column balances.trades_minor is 'the net of the trade bill';
comment on column balances.funds_minor is 'the net of the fund flow bill; null without one';

-- Our side of a day is read by time. Rows are written about in the order of their time: a block range index is enough,
-- is some kilobytes small, and costs the door nothing that can be measured.
create index payments_by_paid_at on payments using brin (paid_at) with (pages_per_range = 32);
create index refunds_by_settled_at on refunds using brin (settled_at) with (pages_per_range = 32);
create index payments_by_created_at on payments using brin (created_at) with (pages_per_range = 32);
