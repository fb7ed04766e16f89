-- Whose number it is. Searching took the newest few rows of all shops and then left out those of others: a shop whose
-- neighbour has customers of the same number, or more orders over the same amount, found nothing of its own.

drop index numbers_by_tail;
drop index numbers_by_amount;
alter table numbers rename to numbers_of_all;

create table numbers (
    number        text not null,
    order_id      text not null,
    shop          text not null,
    amount_minor  bigint,
    made_at       timestamptz
);
comment on table numbers is 'retention: for ever, with the orders they lead to';
comment on column numbers.number is 'an id of ours, the shop''s number or the channel''s';
comment on column numbers.amount_minor is 'of an order and of payments: what was to be paid; a payment whose amount was changed has two rows';

insert into numbers (number, order_id, shop, amount_minor, made_at)
select n.number, n.order_id, o.shop, n.amount_minor, n.made_at from numbers_of_all n join orders o on o.id = n.order_id;
drop table numbers_of_all;

create index numbers_by_tail on numbers (shop, reverse(right(number, 12)) text_pattern_ops);
create index numbers_by_amount on numbers (shop, amount_minor, made_at) where amount_minor is not null;

-- The refused callbacks of a shop's accounts, the newest first, however many came for those of others.
create index quarantine_by_account on quarantine (channel, account, id);
