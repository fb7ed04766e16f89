-- Stock: what can be sold, what is set aside for whom, and every movement that made it so.

-- available + reserved + sold = all units that were ever put in (restocked and adjusted), whatever happens to orders.
create table skus (
    id              text primary key,
    shop            text not null references shops,
    sku             text not null check (sku ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    name            text not null default '',
    unlimited       boolean not null default false,
    preorder_limit  bigint not null default 0 check (preorder_limit >= 0),
    ships_at        timestamptz,
    low_at          bigint check (low_at >= 0),
    available       bigint not null default 0,
    reserved        bigint not null default 0 check (reserved >= 0),
    sold            bigint not null default 0 check (sold >= 0),
    is_low          boolean not null default false,
    event_seq       integer not null default 0,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    unique (sku, shop),
    constraint never_oversold check (unlimited or available + preorder_limit >= 0)
) with (fillfactor = 50); -- a hot row is rewritten by every batch: with room beside it, no index is touched
comment on table skus is 'retention: for ever (one row per article)';
comment on column skus.available is 'units that may still be promised; below zero only as far as preorder_limit allows';
comment on column skus.preorder_limit is 'so many more units than are here may be promised';
comment on column skus.low_at is 'the shop is told (stock.low) when so few are left';

-- All rows of an order move together: an order gets all of its items, or none.
create table reservations (
    order_id          text not null,
    sku               text not null,
    shop              text not null,
    quantity          bigint not null check (quantity > 0),
    state             text not null check (state in ('held', 'sold', 'released', 'returned')),
    restock_refunded  boolean not null,
    created_at        timestamptz not null,
    updated_at        timestamptz not null,
    primary key (order_id, sku)
);
comment on table reservations is 'retention: for ever (the items of orders)';

create table stock_movements (
    id        bigint generated always as identity,
    at        timestamptz not null,
    shop      text not null,
    sku       text not null,
    kind      text not null check (kind in ('reserve', 'confirm', 'release', 'return', 'restock', 'adjust')),
    quantity  bigint not null check (quantity > 0 or (kind = 'adjust' and quantity <> 0)),
    order_id  text check ((order_id is null) = (kind in ('restock', 'adjust'))),
    reason    text not null default '',
    operator  text not null default '',
    key       text,
    primary key (sku, shop, id)
);
comment on table stock_movements is 'retention: for ever (the counters of skus are proven from it)';
comment on column stock_movements.key is 'what an operator does twice under one key is done once';
create index stock_movements_by_order on stock_movements (order_id) where order_id is not null;
create unique index stock_movements_once on stock_movements (shop, sku, key) where key is not null;

create table stock_policies (
    shop              text primary key references shops,
    hold_s            integer not null check (hold_s between 60 and 2592000),
    restock_refunded  boolean not null
);
comment on table stock_policies is 'retention: for ever (one row per shop that wants other than the usual)';
