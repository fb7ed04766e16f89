-- Stripe's bills: what lay at the channel is its fund flow (kind funds), and which payout took which trades a bill of its
-- own (kind payouts), which was called funds before.

alter table bills drop constraint bills_kind_check;
alter table bills add constraint bills_kind_check check (kind in ('trades', 'funds', 'payouts'));
update bills set kind = 'payouts' where channel = 'stripe' and kind = 'funds';

alter table bill_fetches drop constraint bill_fetches_kind_check;
alter table bill_fetches add constraint bill_fetches_kind_check check (kind in ('trades', 'funds', 'payouts'));
update bill_fetches set kind = 'payouts' where channel = 'stripe' and kind = 'funds';

alter table reconciliations add column payouts jsonb not null default '[]';
comment on column reconciliations.payouts is 'the payouts that left on the day, with what each took, by day and kind of its lines, and what of it stands in no bill';
