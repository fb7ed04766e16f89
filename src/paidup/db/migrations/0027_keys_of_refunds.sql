-- A refund that the channel gives no number of its own is named by the merchant's number and its payment: two payments may
-- each have a refund "1". The keys of breaks over such lines say so; those that are there are found again under the new one.
with named as (
    select id, key, prefix || number as old, prefix || number || ' of ' || payment as new
    from (
        select id, key, line ->> 'merchant_refund_ref' as number,
            coalesce(nullif(line ->> 'channel_txn_id', ''), nullif(line ->> 'merchant_ref', '')) as payment,
            case when key like 'twice:%' then 'twice:' else '' end || what || ':' as prefix
        from breaks
        where line ->> 'merchant_refund_ref' <> '' and coalesce(line ->> 'channel_refund_id', '') = ''
            and what in ('refund', 'refund_failed', 'refund_undone')
    ) as lines
    where payment is not null)
update breaks b set key = n.new || substr(n.key, length(n.old) + 1)
from named n
where b.id = n.id and left(n.key, length(n.old)) = n.old and substr(n.key, length(n.old) + 1) ~ '^(#[0-9]+)?$';
