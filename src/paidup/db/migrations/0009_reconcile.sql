-- Reconciliation, continued: bills that people upload, what the shop is told, opening balances, and that no line is lost.

-- A bill that somebody uploaded has its day reconciled by the worker; one that was fetched is in its fetcher's hands.
alter table bills add column work_at timestamptz;
comment on column bills.work_at is 'its day is reconciled by the next round from then on; in the future also the lease of the worker that does it';
create index bills_to_work on bills (work_at) where work_at is not null;

-- What the shop is told of a day (reconcile.…) is a lane of its own: numbered 1, 2, 3 … like the events of an order.
create table reconcile_lanes (
    channel  text not null,
    account  text not null,
    day      date not null,
    seq      integer not null,
    primary key (day, account, channel)
);
comment on table reconcile_lanes is 'retention: for ever (one row per account and day that the shop was told of)';
comment on column reconcile_lanes.seq is 'the number of the last event';

alter table balances add column stated_opening_minor bigint, add column stated_closing_minor bigint;
comment on column balances.stated_opening_minor is 'what the fund flow bill says that the day began with; null where it does not';
comment on column balances.stated_closing_minor is 'what the fund flow bill says that the day ended with; null where it does not';

alter table reconciliation_sums add column broken bigint not null default 0, add column broken_minor bigint not null default 0;
update reconciliation_sums set broken = bill_lines - matched, broken_minor = bill_minor - matched_minor
where what not in ('fee', 'payout');
comment on column reconciliation_sums.broken is 'lines that stand in a break; every line is matched, broken, or of a kind that is only added up (fee, payout)';
