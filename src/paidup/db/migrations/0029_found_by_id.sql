-- The last minutes of callbacks and decisions are found by their ids. A block range index is only as good as vacuum is
-- quick: of a day that it had not seen yet, these led to every row, once in five seconds.
drop index inbox_by_time;
drop index decisions_by_time;

-- The cases of one shop among those of all, and the open ones among many that were resolved. Only the writing of a case
-- pays for it: two index entries more, one when it is resolved.
create index cases_by_shop on cases (shop, id);
create index cases_open on cases (shop, id) where resolved_at is null;

-- The newest days, of all accounts: DISTINCT ON stops after a page. One entry more for each run of a day.
create index reconciliations_by_newest on reconciliations (day desc, channel, account, n desc);
