-- Whose order it is, in the shop's own words. It is set when the order is placed and found through the table numbers, so
-- that no index is rewritten when the order is paid. The seal covers it: an empty field at the end of a row leaves the
-- seals of older rows as they are.
alter table orders add column buyer_ref text not null default '';
comment on column orders.buyer_ref is 'the shop''s own number of its customer; personal data, shown masked';
