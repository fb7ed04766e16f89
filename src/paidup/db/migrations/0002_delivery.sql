-- Delivery: to whom the events go, what was sent, and what came back.

create table endpoints (
    id            text primary key,
    shop          text not null references shops,
    url           text not null check (length(url) <= 2048),
    secrets       text[] not null check (cardinality(secrets) between 1 and 3),
    types         text[] not null check (cardinality(types) > 0),
    enabled       boolean not null default true,
    disabled_why  text not null default '',
    paused_until  timestamptz,
    created_at    timestamptz not null
);
comment on table endpoints is 'retention: for ever';
comment on column endpoints.secrets is 'whsec_…, newest first; every attempt is signed with all of them';
comment on column endpoints.types is 'event types, or {*} for all';
comment on column endpoints.paused_until is 'the receiver said it is overloaded: nothing is sent before';
create index endpoints_by_shop on endpoints (shop);

-- One row per event and endpoint. The deliveries of one order to one endpoint are a lane, sent in the order of seq: only
-- the lowest open one, the head, can be claimed. So the index of what can be claimed stays as small as the number of
-- lanes, however much is parked behind a failing head. due_at in the future is also the lease of the worker that holds
-- the row; `lease` tells a late worker that somebody else took over.
create table deliveries (
    id                bigint generated always as identity primary key,
    event_id          text not null,
    event_created_at  timestamptz not null,
    endpoint_id       text not null references endpoints,
    shop              text not null,
    order_id          text not null,
    seq               integer not null,
    type              text not null,
    state             text not null check (state in ('waiting', 'delivered', 'dead', 'skipped')),
    head              boolean not null default false check (not head or state = 'waiting'),
    due_at            timestamptz not null,
    lease             bigint not null default 0,
    attempts          integer not null default 0,
    why               text not null default '',
    acknowledged_at   timestamptz,
    applied_at        timestamptz,
    created_at        timestamptz not null,
    unique (order_id, endpoint_id, seq)
) with (fillfactor = 80); -- a row is changed three times: with room beside it the table stays a fifth smaller, WAL 4 %
comment on table deliveries is 'retention: 90 days after the event, like the event itself; open ones until they are settled';
comment on column deliveries.acknowledged_at is 'the receiver answered 2xx: it has the event';
comment on column deliveries.applied_at is 'the receiver said that its own order was changed by the event';
create index deliveries_claimable on deliveries (endpoint_id, due_at) where head;
create unique index deliveries_one_head on deliveries (order_id, endpoint_id) where head;
create index deliveries_given_up on deliveries (endpoint_id, id) where state in ('dead', 'skipped');
create index deliveries_unapplied on deliveries (acknowledged_at) where state = 'delivered' and applied_at is null;

create table delivery_attempts (
    id            text not null,
    attempted_at  timestamptz not null,
    shop          text not null,
    endpoint_id   text not null,
    event_id      text not null,
    order_id      text not null,
    seq           integer not null,
    number        integer not null,
    outcome       text not null check (outcome in ('delivered', 'again', 'dead', 'gone')),
    why           text not null,
    status        integer,
    elapsed_ms    integer not null,
    answer        bytea not null,
    primary key (id, attempted_at)
) partition by range (attempted_at);
create table delivery_attempts_rest partition of delivery_attempts default;
comment on table delivery_attempts is 'every attempt to deliver an event and what came back';
create index delivery_attempts_by_order on delivery_attempts (order_id);
