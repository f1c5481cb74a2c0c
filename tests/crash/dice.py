"""Dice: random bytes that are the same for the same throw."""

import random


class Dice:
    """Gives bytes as os.urandom does, from a seed."""

    def __init__(self) -> None:
        self._chance = random.Random(0)

    def __call__(self, size: int) -> bytes:
        """Give so many bytes."""
        return self._chance.randbytes(size)

    def throw(self, seed: str) -> None:
        """Begin the bytes that belong to a seed."""
        self._chance = random.Random(seed)
