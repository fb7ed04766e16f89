-- Which breaks of other days a day's bill cleared is asked by every run of the day.

create index breaks_cleared on breaks (channel, account, cleared_by) where cleared_by is not null;
