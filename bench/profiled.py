"""`python -m bench.profiled FILE serve …`: the command line of Paidup, sampled as its CPU time goes on, after SIGUSR1.

A sample is taken between two steps of Python, so that time in C (a signature, the event loop) counts for the function
that called it. FILE gets one line per function at the end: samples in it, samples in it or below it, its name.
"""

import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

_EVERY_S = 0.002
_TOP = 15


class Samples:
    """Where the time went."""

    def __init__(self) -> None:
        self.taken = 0
        self.inside: Counter[str] = Counter()
        self.below: Counter[str] = Counter()

    def listen(self) -> None:
        """Begin when SIGUSR1 comes: starting is not what is looked at."""
        signal.signal(signal.SIGPROF, self._take)
        signal.signal(signal.SIGUSR1, lambda *_: signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S))

    def _take(self, _signal: int, frame: FrameType | None) -> None:
        stack = []
        while frame:
            if not frame.f_code.co_filename.startswith("<"):  # inside Python itself: its caller has the time
                stack.append(_name(frame))
            frame = frame.f_back
        if stack:
            self.taken += 1
            self.inside[stack[0]] += 1
            self.below.update(set(stack))

    def write(self, path: Path) -> None:
        """The functions that most time was spent in."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        total = max(1, self.taken)
        lines = [f"{'in it':>7} {'below':>7}  of {self.taken} samples"]
        for name, count in self.inside.most_common(_TOP):
            lines.append(f"{count / total:7.1%} {self.below[name] / total:7.1%}  {name}")
        path.write_text("\n".join(lines) + "\n")


def _name(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.stem}.{frame.f_code.co_qualname}"


def main() -> None:
    """Run, and write the samples down when it ended."""
    path = Path(sys.argv.pop(1))
    from paidup.cli import main as paidup

    samples = Samples()
    samples.listen()
    try:
        paidup()
    finally:
        samples.write(path)


if __name__ == "__main__":
    main()
