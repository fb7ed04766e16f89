-- The last minutes of callbacks and decisions are found by their ids. A block range index is only as good as vacuum is
-- quick: of a day that it had not seen yet, these led to every row, once in five seconds.
drop index inbox_by_time;
drop index decisions_by_time;
