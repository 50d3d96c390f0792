"""What every driver owes the seam (`edge.driver`), whatever it is fed: checks that any package can run on its own.

    from edge.conformance import CHECKS

    @pytest.mark.parametrize("check", CHECKS)
    def test_conformance(check):
        check("mydevice", {"poll_s": 1.0})

A check takes the driver's name in the registry and its options, calls the driver through `edge.bench` and nobody else,
and raises Misuse that says what was not kept. No test framework is needed, and the same bytes come each time. What is
told here of bytes is told of all of them only by a property test; ours is `tests/edge/test_driver_conformance.py`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from edge import registry
from edge.bench import Bench
from edge.driver import Commit, Facts, Reserve
from node.entropy import Entropy, seeded
from wire.errors import ConfigError, Misuse

HELD_SIZE_MAX: Final = 2 << 20
"""What a driver may hold in all its fields, bytes, counted generously."""
ROUNDS: Final = 25
STEPS_MAX: Final = 30
NOISE_SIZE_MAX: Final = 40
ANSWER_S: Final = 5.0
"""So long after a message its answer may still come."""
LONG_S: Final = 2_000.0
"""After so long a silence no study may be open any more."""
ENDLESS: Final = (b"\x05\x02" + b"1H|" + b"A" * 65_000, b"\xff" * 65_000, b"\x02" * 65_000, b"\x80\x01" * 32_500)
"""What protocols begin with, and never end."""
BUSY: Final = b"\x01\x81\x01\x48\xcb" + b"\x01\x80\x01\x61\xe3" * 24 + b"some line\r\n\x02block\x03ab" * 40
SHAPES: Final = (
    *(b"\x05", b"\x04", b"\x02", b"\x03", b"\x17", b"\r\n", b"\r", b"]C0", b"12345674\r", b"\x06", b"\x15", b"\x0b"),
    *(b"\x021H|\\^&|||X\r\x03B1\r\n", b"\x022P|1||133\r\x03CE\r\n", b"\x025L|1|N\r\x0308\r\n", b"\x1c\r", b"OK 12\r\n"),
    *(b"ST,GS,+  71.4kg\r\n", b"S S   71.40 kg\r\n", b"\x01\x80\x01\x61\xe3" * 25, b"\x80\x48\x61\x00" * 4),
)
"""Bytes as protocols have them; a driver's own come beside these (`check_any_bytes`)."""

Options = Mapping[str, Any]
Check = Callable[[str, Options], None]


def check_facts(name: str, options: Options) -> None:
    """It says what it is, under the name by which it is found, and its defaults are lawful."""
    facts = registry.find(name).FACTS
    _hold(isinstance(facts, Facts), "FACTS is an edge.driver.Facts")
    _hold(facts.name == name, f"FACTS.name is {facts.name!r}, and the registry knows it as {name!r}")
    said = (facts.version, facts.title, facts.manual, facts.form, facts.lines)
    _hold(all(said), "version, title, manual, form and lines say something")
    registry.create(name, {option.name: option.default for option in facts.options})
    registry.create(name, options)


def check_wrong_option(name: str, options: Options) -> None:
    """A wrong option is refused by name: one that is not there, and one of the wrong type."""
    known = [option.name for option in registry.find(name).FACTS.options]
    for wrong, value in [("nonesuch", 1), *((one, ["list"]) for one in known)]:
        try:
            registry.create(name, {**options, wrong: value})
        except ConfigError as error:
            _hold(wrong in str(error), f"the error of option {wrong!r} names it: {error}")
        else:
            raise Misuse(f"option {wrong!r} may not be {value!r}")


def check_any_bytes(name: str, options: Options, shapes: Iterable[bytes] = (), rounds: int = ROUNDS) -> None:
    """Nothing is raised, no rule of the seam is broken and no study stays open. `shapes`: bytes of this protocol."""
    pieces = (*SHAPES, *filter(None, shapes))
    for number in range(rounds):
        chance = seeded(f"{name} {number}".encode())
        refused = {_pick(chance, STEPS_MAX) for _ in range(_pick(chance, 4))}
        bench = Bench(name, options, refuse=refused.__contains__)
        for _ in range(_pick(chance, STEPS_MAX)):
            _step(bench, chance, pieces)
        bench.wait(LONG_S)
        _hold(bench.open is None, "a study is not open for ever")
        _check_size(bench)


def check_acknowledges_late(name: str, options: Options, message: bytes, answer: bytes, before: bytes = b"") -> None:
    """`message` is answered with `answer` once it is durable, and never while the disk refuses it.

    `before`: what the device says first, such as ENQ; whatever is said to it is none of this check's business.
    """
    said, kept = _told(name, options, before, message, is_kept=True)
    _hold(answer in said, f"{answer!r} says that a message is kept; after this one the driver sent {said!r}")
    _hold(kept > 0, "what is acknowledged has been committed")
    said, _ = _told(name, options, before, message, is_kept=False)
    _hold(answer not in said, f"{answer!r} says that a message is kept; it was sent, and the disk refused it")


def _told(name: str, options: Options, before: bytes, message: bytes, *, is_kept: bool) -> tuple[bytes, int]:
    """Return what is sent after `message`, and how many bytes of it became durable."""
    message_began = False

    def refuse(_number: int) -> bool:
        return message_began and not is_kept

    bench = Bench(name, options, refuse=refuse)
    bench.feed(before)
    message_began, durable = True, len(bench.durable)
    said = bench.feed(message) + bench.wait(ANSWER_S)
    return said, len(bench.durable) - durable


def _step(bench: Bench, chance: Entropy, pieces: tuple[bytes, ...]) -> None:
    match _pick(chance, 8):
        case 0:
            bench.lose()
        case 1 | 2:
            bench.wait(_pick(chance, 2_000) / 10)
        case 3 | 4:
            bench.feed(chance(_pick(chance, NOISE_SIZE_MAX)))
        case 5:
            bench.feed(_damaged(pieces[_pick(chance, len(pieces))], chance))
        case _:
            bench.feed(pieces[_pick(chance, len(pieces))])


def _damaged(piece: bytes, chance: Entropy) -> bytes:
    """Return it with one byte that is another."""
    at = _pick(chance, len(piece))
    return piece[:at] + chance(1) + piece[at + 1 :]


def check_endless_bytes(name: str, options: Options) -> None:
    """What it holds is bounded, however long a record goes on."""
    for endless in ENDLESS:
        bench = Bench(name, options)
        for _ in range(4):
            bench.feed(endless)
        _check_size(bench)


def check_full_disk(name: str, options: Options) -> None:
    """What it holds is bounded while the disk refuses everything."""
    bench = Bench(name, options, refuse=lambda number: True)
    for _ in range(300):
        bench.feed(BUSY)
        bench.wait(1.1)
    _check_size(bench)


def check_unasked(name: str, options: Options) -> None:
    """An answer to a question that it never asked is ignored; it has nothing to do yet, or asks its device at once."""
    driver = registry.create(name, options)
    _hold(driver.committed(99, 0.0) == [], "committed() of an unknown token does nothing")
    _hold(driver.refused(99, 0.0) == [], "refused() of an unknown token does nothing")
    _hold(driver.deadline() in {None, 0.0}, "a new driver's deadline is None or 0.0")


def check_one_question(name: str, options: Options) -> None:
    """While an answer is awaited nothing further is read, so there is one question at most."""
    driver = registry.create(name, options)
    questions = 0
    for _ in range(50):
        events = driver.feed(b"\x05line\r\n\x02block\x03ab\x01\x80\x01\x61\xe3", 0.0)
        questions += sum(isinstance(one, Commit | Reserve) and one.token is not None for one in events)
    _hold(questions <= 1, f"{questions} questions are out at once; one is lawful")


CHECKS: Final[tuple[Check, ...]] = (
    check_facts,
    check_wrong_option,
    check_any_bytes,
    check_endless_bytes,
    check_full_disk,
    check_unasked,
    check_one_question,
)


def held(value: object, seen: set[int] | None = None) -> int:
    """Return roughly how many bytes hang on an object."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type) or callable(value):
        return 0
    seen.add(id(value))
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    if isinstance(value, dict):
        return sum(held(one, seen) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple | set | frozenset | deque):
        return 8 * len(value) + sum(held(one, seen) for one in value)
    names = [*getattr(value, "__dict__", {}), *getattr(type(value), "__slots__", ())]
    return sum(held(getattr(value, name, None), seen) for name in names)


def _check_size(bench: Bench) -> None:
    size = held(bench.driver)
    _hold(size < HELD_SIZE_MAX, f"the driver holds {size} bytes; at most {HELD_SIZE_MAX}")


def _pick(chance: Entropy, below: int) -> int:
    return int.from_bytes(chance(4), "big") % below


def _hold(is_held: bool, what: str) -> None:
    if not is_held:
        raise Misuse(what)
