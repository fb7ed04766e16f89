-- The audit in the order in which it was written: two lines of one millisecond, such as agreeing and what it led to, have
-- ids of which neither is the earlier one.
alter table audit add column n bigint generated always as identity;
comment on column audit.n is 'the order in which lines were added; ids of one millisecond have none';
create unique index audit_by_n on audit (n);
drop index audit_by_who;
drop index audit_by_action;
create index audit_by_who on audit (who, n);
create index audit_by_action on audit (action, n);
