-- How often what follows from a transaction's last answers could not be written, since it last came to rest.

alter table transactions add column failures integer not null default 0;
comment on column transactions.failures is 'a handler of the shop raised, for instance; after some a person is called';
