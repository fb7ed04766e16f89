-- Transactions across services: who takes part, what was agreed, how far each step is, and everything that was done.

create table participants (
    shop        text not null references shops,
    name        text not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
    url         text not null check (length(url) <= 2048),
    secrets     text[] not null check (cardinality(secrets) between 1 and 3),
    created_at  timestamptz not null,
    primary key (shop, name)
);
comment on table participants is 'retention: for ever';
comment on column participants.secrets is 'whsec_…, newest first; every request is signed with all of them';

create table transaction_tables (
    shop        text not null references shops,
    name        text not null,
    steps       text not null,
    updated_at  timestamptz not null,
    primary key (shop, name)
);
comment on table transaction_tables is 'retention: for ever (a change does not touch transactions that have begun)';

-- due_at in the future is also the lease of the worker that holds the row; `lease` tells a late worker that somebody
-- else took over. Nothing is due of what has ended, nor of what waits for a person.
create table transactions (
    id          text primary key,
    shop        text not null references shops,
    order_id    text not null references orders,
    name        text not null,
    kind        text not null check (kind in ('saga', 'tcc')),
    agreed      text not null,
    data        text not null,
    state       text not null,
    stuck_in    text not null default '',
    why         text not null,
    waits       boolean not null default false,
    began_at    timestamptz not null,
    expires_at  timestamptz not null,
    turned_at   timestamptz,
    due_at      timestamptz,
    lease       bigint not null default 0,
    ended_at    timestamptz,
    updated_at  timestamptz not null
);
comment on table transactions is 'retention: for ever (who gave what to whom)';
comment on column transactions.agreed is 'the table of steps as it was when the transaction began';
comment on column transactions.stuck_in is 'the state from which a person takes over';
comment on column transactions.waits is 'nothing is to be called until its order changes';
comment on column transactions.turned_at is 'when it began to be undone';
create index transactions_by_time on transactions (due_at) where due_at is not null;
create index transactions_by_order on transactions (order_id);
create index transactions_unfinished on transactions (began_at) where ended_at is null;
create index transactions_ended on transactions (ended_at) where ended_at is not null;

create table transaction_steps (
    xid         text not null references transactions,
    name        text not null,
    state       text not null,
    tries       integer not null,
    asking      boolean not null,
    doubt       boolean not null,
    due_at      timestamptz,
    why         text not null,
    answer      text not null,
    updated_at  timestamptz not null,
    primary key (xid, name)
);
comment on table transaction_steps is 'retention: for ever, with its transaction';
comment on column transaction_steps.asking is 'a request may be under way';
comment on column transaction_steps.doubt is 'a request may have acted, although no answer said so';

create table transaction_journal (
    seq         bigint generated always as identity primary key,
    xid         text not null references transactions,
    at          timestamptz not null,
    step        text,
    kind        text not null check (kind in ('move', 'call', 'operator')),
    before      text not null default '',
    after       text not null default '',
    why         text not null,
    who         text not null default '',
    operation   text not null default '',
    outcome     text not null default '',
    status      integer,
    elapsed_ms  integer
);
comment on table transaction_journal is 'retention: for ever (the number of lines of a transaction is bounded by its tries)';
create index transaction_journal_by_xid on transaction_journal (xid);
