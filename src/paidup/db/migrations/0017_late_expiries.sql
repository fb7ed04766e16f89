-- Orders that could not be given up when their time was over, so that they keep no other from it. Almost always empty.
create table late_expiries (
    order_id  text primary key references orders,
    failures  integer not null,
    again_at  timestamptz not null,
    why       text not null
);
comment on table late_expiries is 'retention: until the order is given up, or paid after all';
