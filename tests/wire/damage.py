"""Damage a stream and judge what its reader says, by an oracle that knows what was written and what was damaged.

The oracle. A tag is *touched* when a damaged byte is one of its own, or when bytes were inserted or cut out strictly
within it. Every tag that is not touched must be sound, once, with its own bytes at its own place, unless every CHECK
that lists it is touched. Nothing else may be sound, but for a touched tag of which the damage itself left a whole copy.

By hand: `python -m tests.wire.damage --damages 100000 --seed 7`.
"""

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass

from feldsher.sample import sample
from wire import kinds
from wire.checks import parse_check
from wire.stream import StreamReader, Verdict
from wire.tag import parse_header

RUN_SIZE_MAX = 4096
KINDS = ("flip", "zero", "cut", "random", "zeros", "copy")


@dataclass(frozen=True)
class Damage:
    """`at`, `removed` bytes there, `inserted` in their place."""

    kind: str
    at: int
    removed: int
    inserted: bytes

    def apply(self, whole):
        return whole[: self.at] + self.inserted + whole[self.at + self.removed :]


class Written:
    """A sound stream and what stands where in it."""

    def __init__(self, whole):
        self.whole = whole
        self.extents = []
        at = 0
        while at < len(whole):
            header = parse_header(whole, at)
            self.extents.append((at, at + header.total))
            at += header.total
        self.raws = [whole[start:end] for start, end in self.extents]
        self.checks = {}
        for ordinal, (start, _) in enumerate(self.extents):
            if parse_header(whole, start).tag.kind == (kinds.SERVICE, kinds.CHECK):
                self.checks[ordinal] = parse_check(whole, start)
        self.listed_by = [[] for _ in self.raws]
        for ordinal, check in self.checks.items():
            for listed in range(check.first, ordinal):
                self.listed_by[listed].append(ordinal)

    def touched(self, damage):
        """The ordinals that the damage touches."""
        first, last = damage.at, damage.at + damage.removed
        return {
            ordinal
            for ordinal, (start, end) in enumerate(self.extents)
            if (first < end and start < last) or (start < first < end and not damage.removed)
        }

    def unprovable(self, touched):
        """The ordinals, untouched, about which no untouched CHECK says anything."""
        return {
            ordinal
            for ordinal in range(len(self.raws))
            if ordinal not in touched
            and ordinal not in self.checks
            and all(c in touched for c in self.listed_by[ordinal])
        }


def draw(dice, whole):
    kind = dice.choice(KINDS)
    size = dice.choice((dice.randint(1, RUN_SIZE_MAX), dice.randint(1, 64)))
    if kind in {"random", "zeros", "copy"}:
        at = dice.randint(0, len(whole))
        source = dice.randint(0, len(whole) - 1)
        made = {"random": dice.randbytes(size), "zeros": bytes(size), "copy": whole[source : source + size]}
        return Damage(kind, at, 0, made[kind])
    at = dice.randint(0, len(whole) - 1)
    size = min(size, len(whole) - at)
    if kind == "cut":
        return Damage(kind, at, size, b"")
    if kind == "zero":
        return Damage(kind, at, size, bytes(size))
    size = min(dice.choice((1, 1, 2)), len(whole) - at)
    bits = sum(1 << bit for bit in dice.sample(range(8 * size), dice.randint(1, 8)))
    flipped = (int.from_bytes(whole[at : at + size], "big") ^ bits).to_bytes(size, "big")
    return Damage(kind, at, size, flipped)


def read(data, stream_id=None, chunk=1 << 16):
    reader = StreamReader(stream_id)
    found = []
    for at in range(0, len(data), chunk):
        found += reader.feed(data[at : at + chunk])
    return found + reader.finish()


def judge(written, damage):
    """Return what is wrong with the reader's answer (empty: nothing), and how many tags were unprovable.

    A damage that is slid along equal bytes gives the same file, and nobody can tell which of them happened: the
    answer may be right for any of these.
    """
    data = damage.apply(written.whole)
    found = read(data)
    first = judge_as(written, damage, data, found)
    if not first[0]:
        return first
    return next(
        (
            said
            for said in (judge_as(written, same, data, found) for same in slides(written.whole, damage))
            if not said[0]
        ),
        first,
    )


def judge_as(written, damage, data, found):
    touched = written.touched(damage) if data != written.whole else set()
    unprovable = written.unprovable(touched)
    wrong = tiling(found, data)
    sound = {}
    for one in (one for one in found if one.verdict is Verdict.SOUND):
        if one.ordinal in sound:
            wrong.append(f"ordinal {one.ordinal} sound twice")
        elif one.ordinal >= len(written.raws) or one.raw != written.raws[one.ordinal]:
            wrong.append(f"phantom at {one.offset}, ordinal {one.ordinal}")
        sound[one.ordinal] = one
    shift = len(damage.inserted) - damage.removed
    for ordinal, (start, _) in enumerate(written.extents):
        if ordinal in touched or ordinal in unprovable:
            continue
        place = start if start < damage.at else start + shift
        if ordinal not in sound:
            wrong.append(f"untouched tag {ordinal} at {place} not sound")
        elif sound[ordinal].offset != place:
            wrong.append(f"tag {ordinal} sound at {sound[ordinal].offset}, not at {place}")
    return wrong, len(unprovable)


def slides(whole, damage):
    """Yield the damages, further left or right, that make the same file."""
    if bool(damage.removed) == bool(damage.inserted):
        return
    for step in (-1, 1):
        at, run = damage.at, damage.inserted or whole[damage.at : damage.at + damage.removed]
        while (
            (at > 0 and whole[at - 1] == run[-1])
            if step < 0
            else (at + damage.removed < len(whole) and whole[at + damage.removed] == run[0])
        ):
            run = run[-1:] + run[:-1] if step < 0 else run[1:] + run[:1]
            at += step
            yield Damage(damage.kind, at, damage.removed, run if damage.inserted else b"")


def tiling(found, data):
    """The Founds cover every byte once, in order, with the bytes that stand there."""
    at, wrong = 0, []
    for one in found:
        if one.offset != at or (one.raw and one.raw != data[at : at + one.size]):
            wrong.append(f"Found at {one.offset} where {at} was due")
        at += one.size
    return wrong if at == len(data) else [*wrong, f"ends at {at} of {len(data)}"]


def run(damages, seed, written=None):
    """Judge this many damages; return the failures and a count of what was tried."""
    written = written or Written(b"".join(sample(300, seed, large=False)))
    dice = random.Random(seed)
    failures, tried = [], Counter()
    for number in range(damages):
        damage = draw(dice, written.whole)
        wrong, unprovable = judge(written, damage)
        tried[damage.kind] += 1
        tried["unprovable tags"] += unprovable
        if wrong:
            failures.append((number, damage.kind, damage.at, damage.removed, len(damage.inserted), wrong[:3]))
    return failures, tried


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    failures, tried = run(args.damages, args.seed)
    for failure in failures:
        print(*failure)
    print(f"{args.damages} damages, {len(failures)} failures;", dict(sorted(tried.items())))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
