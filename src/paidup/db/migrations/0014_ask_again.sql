-- A channel that gave no answer about a difference is asked again by itself.

alter table breaks add column ask_at timestamptz;
comment on column breaks.ask_at is 'when the channel is asked again, because it gave no answer; null: it is not asked by itself';
create index breaks_to_ask on breaks (ask_at) where ask_at is not null and state in ('waiting', 'open');
