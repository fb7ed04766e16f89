-- A refund's number names it within its payment: Alipay asks for no more (out_request_no), so that two trades may each have
-- a refund "1". Our own numbers are ids. The number stands first in the key, because refunds are looked up by it.
alter table refunds drop constraint refunds_merchant_ref_account_channel_key;
alter table refunds add unique (merchant_ref, account, channel, payment_id);
