"""Ten thousand random damages of a file of 300 tags, one at a time, and two at a time; the oracle is in `damage.py`."""

import random

import pytest

from feldsher.sample import sample
from tests.fuzz.fuzz_stream import WRITTEN as SMALL
from tests.wire.damage import KINDS, Damage, Written, draw, judge, read, run, slides
from wire.stream import Verdict

DAMAGES = 10_000
SEEDS_OF_BUGS = (
    (1, 3, "two CHECKs cut out with what was between them: the far CHECK was not asked"),
    (2, 1043, "two zero bytes cut out before a header that begins with two zero bytes"),
    (3, 659, "a copy with a CHECK inserted within that CHECK"),
)


@pytest.fixture(scope="module")
def written():
    return Written(b"".join(sample(300, 1, large=False)))


def test_a_few_damages_cost_only_what_they_touch(written):
    assert run(300, 5, written)[0] == []


@pytest.mark.slow
def test_ten_thousand_damages_cost_only_what_they_touch(written):
    failures, tried = run(DAMAGES, 1, written)
    assert failures == []
    assert all(tried[kind] > DAMAGES // 10 for kind in KINDS)
    # What no reader could prove: every CHECK that lists the tag was itself hit. The last far CHECKs have no successor.
    assert tried["unprovable tags"] < DAMAGES // 10


@pytest.mark.slow
def test_every_place_of_a_small_file_may_be_damaged_in_every_way():
    """The file holds an attached stream and ends in CHECKs; copies come from anywhere, its very end too."""
    whole, dice = SMALL.whole, random.Random(5)
    failures = []
    for at in range(len(whole) + 1):
        run_size = min(dice.choice((1, 40, 100)), len(whole) - at)
        source, size = dice.randrange(len(whole)), dice.choice((100, dice.randrange(1, 900)))
        damages = [
            Damage("cut", at, run_size, b""),
            Damage("zero", at, run_size, bytes(run_size)),
            Damage("random", at, 0, dice.randbytes(1)),
            Damage("zeros", at, 0, bytes(50)),
            Damage("copy", at, 0, whole[source : source + size]),
        ]
        if at < len(whole):
            damages.append(Damage("flip", at, 1, bytes((whole[at] ^ 1 << dice.randrange(8),))))
        failures += [(damage, wrong) for damage in damages if (wrong := judge(SMALL, damage)[0])]
    assert failures == []


@pytest.mark.slow
def test_damages_of_a_file_with_tags_over_64_kib():
    failures, _ = run(1000, 9, Written(b"".join(sample(300, 9))))
    assert failures == []


@pytest.mark.parametrize(("seed", "number", "symptom"), SEEDS_OF_BUGS)
def test_damages_that_once_cost_more(seed, number, symptom):
    dice, whole = random.Random(seed), Written(b"".join(sample(300, seed, large=False)))
    damage = [draw(dice, whole.whole) for _ in range(number + 1)][-1]
    assert judge(whole, damage)[0] == [], symptom


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_sound_after_two_or_more_damages_that_was_not_written(seed):
    """Sound is each written tag at most once, with its own bytes, in its own order."""
    whole = Written(b"".join(sample(60, seed, large=False)))
    dice = random.Random(seed)
    for _ in range(150):
        data = whole.whole
        for _ in range(dice.randint(2, 5)):
            data = draw(dice, data).apply(data)
        sound = [one for one in read(data) if one.verdict is Verdict.SOUND]
        assert [one.raw for one in sound] == [whole.raws[one.ordinal] for one in sound]
        assert [one.ordinal for one in sound] == sorted({one.ordinal for one in sound})


def test_two_flipped_bits_far_apart_cost_two_tags(written):
    dice = random.Random(3)
    for _ in range(100):
        data, touched = bytearray(written.whole), set()
        for at in (dice.randrange(len(data) // 2 - 5000), dice.randrange(len(data) // 2, len(data) - 9000)):
            damage = Damage("flip", at, 1, bytes((data[at] ^ 1 << dice.randrange(8),)))
            touched |= written.touched(damage)
            data = bytearray(damage.apply(bytes(data)))
        sound = {one.ordinal for one in read(bytes(data)) if one.verdict is Verdict.SOUND}
        assert sound == set(range(300)) - touched


def test_the_oracle_knows_what_a_damage_touches():
    whole = Written(b"".join(sample(20, 1, large=False)))
    start, end = whole.extents[3]
    assert whole.touched(Damage("cut", start, end - start, b"")) == {3}
    assert whole.touched(Damage("cut", start - 1, 2, b"")) == {2, 3}
    assert whole.touched(Damage("random", start, 0, b"x")) == set()
    assert whole.touched(Damage("random", start + 1, 0, b"x")) == {3}


def test_the_oracle_finds_a_reader_that_lies(written, monkeypatch):
    monkeypatch.setattr("tests.wire.damage.read", lambda data: read(data)[:-1])
    assert judge(written, Damage("random", 50, 0, b""))[0]


def test_the_oracle_knows_damages_that_nobody_can_tell_apart():
    assert {one.at for one in slides(b"abbbc", Damage("cut", 2, 1, b""))} == {1, 3}
    assert {(one.at, one.inserted) for one in slides(b"abab", Damage("copy", 2, 0, b"ab"))} == {
        (1, b"ba"),
        (0, b"ab"),
        (3, b"ba"),
        (4, b"ab"),
    }
