"""Where randomness comes from. Handed to constructors, so that a simulated world replays from its seed.

`system` is for everything real. `seeded` gives the same bytes for the same seed, for simulations and for sample files:
a key or a nonce made from it is no secret.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Final

Entropy = Callable[[int], bytes]
"""Called with a number of bytes, returns that many fresh random bytes."""

ID_SIZE: Final = 16
_BLOCK_SIZE: Final = 64


def system(size: int) -> bytes:
    """Return `size` bytes from the kernel."""
    return os.urandom(size)


def seeded(seed: bytes) -> Entropy:
    """Return a source that gives the same sequence for the same `seed`, cut into calls in whatever way."""
    key = hashlib.blake2b(seed).digest()
    left = b""
    counter = 0

    def draw(size: int) -> bytes:
        nonlocal left, counter
        while len(left) < size:
            left += hashlib.blake2b(counter.to_bytes(8, "big"), key=key, digest_size=_BLOCK_SIZE).digest()
            counter += 1
        drawn, left = left[:size], left[size:]
        return drawn

    return draw


def new_id(entropy: Entropy) -> bytes:
    """Return a fresh identifier: 16 random bytes, shown as 32 hex digits."""
    return entropy(ID_SIZE)
