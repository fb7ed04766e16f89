"""Which of the faults of a failing seed are needed: whole kinds of them are left out first, for a run has up to
thousands of a few kinds; then delta debugging (Zeller and Hildebrandt, 2002) over the keys of the rest."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from paidup.simulator.outcome import Outcome

Play = Callable[[frozenset[str]], Awaitable[Outcome]]
MAX_RUNS = 120


async def shrink(failed: Outcome, play: Play, progress: Callable[[int, int], None]) -> Outcome:
    """The run that breaks the same invariant with the fewest faults that were found. progress: hears after each run
    (how many there were, of at most MAX_RUNS; how many faults are left)."""
    wanted = {breach.invariant for breach in failed.breaches}
    best, chunks, runs = failed, 2, 0

    async def still_fails(keys: Sequence[str]) -> bool:
        nonlocal best, runs
        runs += 1
        outcome = await play(frozenset(keys))
        fails = bool(wanted & {breach.invariant for breach in outcome.breaches})
        if fails:
            best = outcome
        progress(runs, len(best.hits))
        return fails

    if await still_fails([]):
        return best
    for kind, _ in Counter(hit.kind for hit in failed.hits).most_common():
        others = [hit.key for hit in best.hits if hit.kind != kind]
        if len(others) < len(best.hits):
            await still_fails(others)
    while len(best.hits) > 1 and runs < MAX_RUNS:
        keys = [hit.key for hit in best.hits]
        chunks = min(chunks, len(keys))
        if await _any_goes(keys, chunks, still_fails):
            chunks = max(2, chunks - 1)
        elif chunks >= len(keys):
            break
        else:
            chunks *= 2
    return best


async def _any_goes(keys: Sequence[str], chunks: int, still_fails: Callable[[Sequence[str]], Awaitable[bool]]) -> bool:
    """Whether one of so many parts can be left out."""
    size = len(keys) / chunks
    for n in range(chunks):
        start, end = round(n * size), round((n + 1) * size)
        if start < end and await still_fails([*keys[:start], *keys[end:]]):
            return True
    return False
