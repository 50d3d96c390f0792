"""Runs a fuzz target: by atheris when it is installed (coverage-guided), else by seeded mutations of the seeds.

The second way needs nothing and replays exactly: the failing input is printed as hex with its round and seed.
"""

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def mutated(seed: bytes, chance: random.Random, size_max: int = 1 << 16) -> bytes:
    """Return `seed` after a few of the damages that media and senders do."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at, size = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 8, 64, 700))
        run = bytes(data[at : at + size])
        how = chance.randrange(7)
        if how == 0 and run:
            data[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            data[at : at + size] = bytes(len(run))
        elif how == 2:
            del data[at : at + size]
        elif how == 3:
            data[at:at] = chance.randbytes(size)
        elif how == 4:
            data[at:at] = run
        elif how == 5:
            data[at : at + size] = chance.randbytes(len(run))
        else:
            to = chance.randrange(len(data) + 1)
            data[to : to + len(run)] = run
    return bytes(data[:size_max])


def rounds(check: Callable[[bytes], None], seeds: Sequence[bytes], count: int, seed: int) -> None:
    """Check each seed and `count` mutations. Raises AssertionError with the input when the invariant breaks."""
    chance = random.Random(seed)
    for number in range(count):
        data = seeds[number] if number < len(seeds) else mutated(chance.choice(seeds), chance)
        try:
            check(data)
        except Exception as error:
            raise AssertionError(f"round {number} of seed {seed}: {error!r} for {data.hex()}") from error


def give_seeds(folders: Sequence[Path], seeds: Sequence[bytes]) -> None:
    """Put the seeds into the first folder of the corpus: from nothing no fuzzer finds a frame whose check holds."""
    for number, seed in enumerate(seeds if folders and folders[0].is_dir() else ()):
        (folders[0] / f"seed-{number:03d}").write_bytes(seed)


def drive(check: Callable[[bytes], None], seeds: Sequence[bytes]) -> None:
    """Run from the command line."""
    try:
        import atheris
    except ImportError:
        numbers = [int(word) for word in sys.argv[1:]]
        count, seed = (*numbers, *(10_000, 1)[len(numbers) :])
        rounds(check, seeds, count, seed)
        print(f"{count} rounds of seed {seed} held")
        return
    give_seeds([Path(word) for word in sys.argv[1:] if not word.startswith("-")], seeds)
    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
