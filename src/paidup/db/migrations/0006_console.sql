-- The console: who may sign in, what people did by hand, and how the last minutes went.

create table users (
    name           text primary key check (name ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
    role           text not null check (role in ('viewer', 'operator', 'finance', 'approver', 'admin')),
    password_hash  text,
    totp_secret    text,
    totp_step      bigint not null default 0,
    created_at     timestamptz not null,
    disabled_at    timestamptz
);
comment on table users is 'retention: for ever (the audit names them)';
comment on column users.password_hash is 'argon2id; null until the first sign-in link was used';
comment on column users.totp_step is 'the last step whose code was used: a code works once';

create table sessions (
    token_hash  bytea primary key,
    name        text not null references users,
    created_at  timestamptz not null,
    seen_at     timestamptz not null,
    expires_at  timestamptz not null,
    source      text not null
);
comment on table sessions is 'retention: until signed out or expired';
create index sessions_by_name on sessions (name);

create table sign_in_links (
    token_hash  bytea primary key,
    name        text not null references users,
    made_at     timestamptz not null,
    expires_at  timestamptz not null
);
comment on table sign_in_links is 'retention: until used or expired; each opens once';

create table sign_in_failures (
    key  text not null,
    at   timestamptz not null
);
comment on table sign_in_failures is 'retention: one hour';
create index sign_in_failures_by_key on sign_in_failures (key, at);

-- What people did by hand ------------------------------------------------------------------------------------------

create table audit (
    id          text primary key,
    at          timestamptz not null,
    who         text not null,
    via         text not null check (via in ('console', 'api', 'cli')),
    action      text not null,
    shop        text not null default '',
    subject_id  text not null default '',
    order_id    text,
    why         text not null default '',
    before      text not null default '',
    after       text not null default ''
);
comment on table audit is 'retention: for ever (who did what by hand, when and why); rows are only ever added';
create index audit_by_order on audit (order_id) where order_id is not null;
create index audit_by_who on audit (who, id);
create index audit_by_action on audit (action, id);

create function audit_is_kept() returns trigger language plpgsql as $$
begin
    raise exception 'the audit journal is only added to';
end $$;
create trigger audit_is_kept before update or delete or truncate on audit
for each statement execute function audit_is_kept();

create table approvals (
    id            text primary key,
    asked_at      timestamptz not null,
    asked_by      text not null,
    action        text not null check (action in ('confirm', 'refund')),
    key           text not null,
    shop          text not null,
    order_id      text not null,
    subject_id    text not null,
    amount_minor  bigint not null,
    currency      char(3) not null,
    because       text not null,
    request       text not null,
    why           text not null,
    state         text not null default 'waiting' check (state in ('waiting', 'approved', 'refused')),
    decided_at    timestamptz,
    decided_by    text,
    note          text not null default '',
    check (state <> 'approved' or decided_by <> asked_by),
    unique (action, subject_id, key)
);
comment on table approvals is 'retention: for ever (two people agreed)';
comment on column approvals.because is 'why a second person is needed';
create index approvals_waiting on approvals (id) where state = 'waiting';
create index approvals_by_order on approvals (order_id);

alter table cases add column claimed_by text;
alter table cases add column claimed_at timestamptz;
alter table cases add column resolved_by text;

create table case_comments (
    id       text primary key,
    case_id  text not null references cases,
    at       timestamptz not null,
    who      text not null,
    said     text not null
);
comment on table case_comments is 'retention: for ever, with their case';
create index case_comments_by_case on case_comments (case_id);

-- How the last minutes went: one row per minute and account, counted once when the minute is over. -------------------

create table tally (
    minute     timestamptz not null,
    channel    text not null,
    account    text not null,
    callbacks  integer not null,
    callback   integer not null,
    query      integer not null,
    bill       integer not null,
    operator   integer not null,
    primary key (minute, channel, account)
);
comment on table tally is 'retention: 40 days';
comment on column tally.callbacks is 'callbacks that were verified; the columns after it count payments that became paid, by road';

create index inbox_by_time on inbox using brin (received_at) with (pages_per_range = 16);
create index decisions_by_time on decisions using brin (decided_at) with (pages_per_range = 16);

-- Whatever a person reads out over the phone: the last six characters or more of a number. Only the last twelve are
-- indexed, backwards, which keeps the index small.
create index orders_by_tail on orders (reverse(right(id, 12)) text_pattern_ops);
create index orders_by_number_tail on orders (reverse(right(shop_order_no, 12)) text_pattern_ops);
create index payments_by_tail on payments (reverse(right(id, 12)) text_pattern_ops);
create index payments_by_txn_tail on payments (reverse(right(channel_txn_id, 12)) text_pattern_ops);
create index payments_by_amount on payments (amount_minor, created_at);

create index inbox_queue_poisoned on inbox_queue (channel, account, merchant_ref) where state = 'poisoned';
