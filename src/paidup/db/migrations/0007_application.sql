-- The application that embeds Paidup: what it does inside the door's transaction may not be left out by anybody.

create table application (
    only_one     boolean primary key default true check (only_one),
    event_types  text[] not null,
    handlers     text[] not null,
    started_at   timestamptz not null
);
comment on table application is 'retention: until another starts, or paidup db forget-handlers';
comment on column application.handlers is 'as module:function, for the message to whoever would leave them out';
