-- Orders that could not be given up when their time was over, so that they keep no other from it. Almost always empty.
create table late_expiries (
    order_id  text primary key references orders,
    failures  integer not null,
    again_at  timestamptz not null,
    why       text not null
);
comment on table late_expiries is 'retention: until the order is given up, or paid after all';

-- A payment may be disputed more than once, and the end of one dispute says nothing about another.
alter table payments add column disputes jsonb not null default '{}';
comment on column payments.disputes is 'what each dispute but the latest said last; the latest stands in dispute_id and dispute_says';
