-- A refund's number names it within its payment: Alipay asks for no more (out_request_no), so that two trades may each have
-- a refund "1". Our own numbers are ids. The number stands first in the key, because refunds are looked up by it.
alter table refunds drop constraint refunds_merchant_ref_account_channel_key;
alter table refunds add unique (merchant_ref, account, channel, payment_id);

-- Where the line of those ends that an account's budget makes wait.
alter table query_budgets add column line_ends_at timestamptz;
comment on column query_budgets.line_ends_at is 'questions beyond the budget stand in line until then, one after the other';

-- What is unfinished, for the sweep, which looks once a minute: without these it reads all payments and refunds there are.
create index payments_unfinished on payments (updated_at) where state in ('created', 'open', 'closing');
create index refunds_unfinished on refunds (updated_at) where state in ('requested', 'pending');
