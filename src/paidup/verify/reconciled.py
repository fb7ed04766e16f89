"""The claims about reconciled days: every line of a bill came to something, once, and the sums on both sides are those
of the lines."""

from paidup.verify.whole import Claim

# The run that holds of each day. Of older runs nothing is claimed: a later one of the same day says what is so.
_LATEST = """latest AS (
    SELECT DISTINCT ON (day, channel, account) id, channel, account, day, bill_id, lines, matched, grouped,
      ended_at
    FROM reconciliations WHERE ended_at >= $1 ORDER BY day, channel, account, n DESC)"""

# A break that the run found: what healed before it, and not by another day's bill, it did not. Clocks differ a little.
_STANDS = "k.state <> 'healed' OR k.cleared_by IS NOT NULL OR k.changed_at >= a.ended_at - interval '2 minutes'"

DAYS = Claim(
    "reconciled",
    "each line of a bill is matched, stands in a break, or is of a kind that is only added up; no line twice, and "
    "the money of all is the bill's",
    f"""WITH {_LATEST}
    SELECT count(DISTINCT l.id) AS days, coalesce(sum(s.bill_lines), 0) AS lines,
      coalesce(sum(s.matched), 0) AS matched, coalesce(sum(s.broken), 0) AS broken,
      coalesce(sum(s.bill_lines) FILTER (WHERE s.what IN ('fee', 'payout')), 0) AS added_up
    FROM latest l LEFT JOIN reconciliation_sums s ON s.run_id = l.id""",
    f"""WITH {_LATEST}, added AS (
      SELECT l.id, l.channel, l.account, l.day, l.lines, l.matched, l.grouped, l.bill_id, l.ended_at,
        coalesce(sum(s.bill_lines), 0) AS summed, coalesce(sum(s.matched), 0) AS summed_matched,
        coalesce(sum(s.broken), 0) AS broken,
        coalesce(bool_or(CASE WHEN s.what IN ('fee', 'payout') THEN s.matched <> 0 OR s.broken <> 0
          ELSE (s.bill_lines, s.bill_minor) <> (s.matched + s.broken, s.matched_minor + s.broken_minor) END), false)
          AS is_wrong
      FROM latest l LEFT JOIN reconciliation_sums s ON s.run_id = l.id
      GROUP BY l.id, l.channel, l.account, l.day, l.lines, l.matched, l.grouped, l.bill_id, l.ended_at)
    SELECT a.channel || '/' || a.account || ' ' || a.day FROM added a LEFT JOIN bills b ON b.id = a.bill_id
    CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE k.state IN ('waiting', 'open', 'approved')) AS unsettled,
        count(*) FILTER (WHERE {_STANDS}) AS standing
      FROM breaks k WHERE k.channel = a.channel AND k.account = a.account AND k.day = a.day AND k.line IS NOT NULL) k
    WHERE a.is_wrong OR a.summed <> a.lines OR a.summed_matched <> a.matched OR a.grouped > a.matched
      OR (b.state = 'sound' AND b.lines <> a.lines)
      OR a.broken < k.unsettled OR a.broken > k.standing
    UNION ALL
    SELECT min(k.id) FROM breaks k WHERE k.state <> 'healed' AND k.line IS NOT NULL AND k.changed_at >= $1
    GROUP BY k.day, k.channel, k.account, k.line ->> 'bill_id', k.line ->> 'line' HAVING count(*) > 1""",
)
