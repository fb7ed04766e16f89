"""Chance that follows from the seed and from who asks: ids stay the same when a fault elsewhere is taken away."""

from collections import Counter
from collections.abc import Callable
from hashlib import blake2b


class SeededChance:
    """In place of the operating system's chance, in simulations only. who: the name of whoever asks."""

    def __init__(self, seed: int, who: Callable[[], str]) -> None:
        self._seed = seed
        self._who = who
        self._nth: Counter[str] = Counter()

    def token_bytes(self, nbytes: int) -> bytes:
        """So many bytes; the same in every run of this seed."""
        name = self._who()
        self._nth[name] += 1
        whole = b""
        while len(whole) < nbytes:
            whole += blake2b(f"{self._seed}/{name}/{self._nth[name]}/{len(whole)}".encode()).digest()
        return whole[:nbytes]

    def randbelow(self, exclusive_upper_bound: int) -> int:
        """A number from 0 on, below this."""
        return int.from_bytes(self.token_bytes(8)) % exclusive_upper_bound
