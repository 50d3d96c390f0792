"""The worklist: who is expected at a kit, which tubes are theirs and what is ordered, as the centre's staff say (R30).

One object holds all the lists of one kit that are in force, each for one day. It is signed by the centre, so that a kit
takes none that a stranger made, and each day is sealed to the kit's link key, so that neither a gateway nor a stolen
stick says who goes to the doctor. `docs/formats/worklist.md` is normative.

```
signature 64 | CBOR {"version": n, "kit": link public 32, "days": [[until_ms, sealed], ...]}
sealed = HPKE(zstd(CBOR {"day": "2026-11-22", "orders": [[patient, name, birth, sex, sample, [tests]], ...]}))
```

The signature is Ed25519 over `b"feldsher worklist 1"` and the CBOR. Versions of one kit grow; a reader keeps
the highest that it has verified, so the newest list wins and an old one changes nothing. A day is to be erased when its
`until_ms` has passed. Pure: no file, no clock, no randomness.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wire import codec
from wire.errors import FormatError, Misuse
from wire.maps import decode_map, encode_map
from wire.objects import ID_SIZE
from wire.seal import KEY_SIZE, SIGNATURE_SIZE, require_signature, seal, sign, unseal

CONTEXT: Final = b"feldsher worklist 1"
TAKEN_CONTEXT: Final = b"feldsher worklist taken 1"
VERSION_MAX: Final = (1 << 48) - 1
TIME_MAX: Final = (1 << 48) - 1
DAYS_MAX: Final = 8
ORDERS_MAX: Final = 2_000
"""Of one day."""
ID_SIZE_MAX: Final = 64
"""Characters of a patient's id: what a label may hold."""
NAME_SIZE_MAX: Final = 80
SAMPLE_SIZE_MAX: Final = 32
TEST_SIZE_MAX: Final = 32
TESTS_MAX: Final = 64
DAY_SIZE_MAX: Final = 512 * 1024
WORKLIST_SIZE_MAX: Final = 2 << 20
SEXES: Final = ("", "M", "F", "U")


@dataclass(frozen=True, slots=True)
class Order:
    """One line of a day's list: a person, and perhaps a tube of theirs with what is to be measured in it.

    `patient` is what the label says when it is scanned; `birth` is YYYYMMDD or ""; `sex` one of SEXES; `sample` is the
    tube's own number or ""; `tests` are codes as the analyser knows them.
    """

    patient: str
    name: str = ""
    birth: str = ""
    sex: str = ""
    sample: str = ""
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Day:
    """The list of one day (`YYYY-MM-DD`)."""

    day: str
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class SealedDay:
    """A day as it travels. `until_ms`: when it is to be erased, ms since the Unix epoch."""

    until_ms: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Worklist:
    """All that one kit (its link key) is to hold, as of `version`."""

    version: int
    kit: bytes
    days: tuple[SealedDay, ...]


def fault_of(order: Order) -> str:
    """Return what is wrong with one line by itself; "" when nothing is."""
    for what, text, size_max in (
        ("patient", order.patient, ID_SIZE_MAX),
        ("name", order.name, NAME_SIZE_MAX),
        ("sample", order.sample, SAMPLE_SIZE_MAX),
    ):
        if len(text) > size_max or not text.isprintable() or text != text.strip():
            return f"{what} {text[:80]!r}: at most {size_max} printable characters, without blanks around them"
    if not order.patient:
        return "patient: every line names one"
    if order.sex not in SEXES:
        return f"sex {order.sex[:20]!r}: M, F, U or nothing"
    if order.birth and not _is_date(order.birth, "%Y%m%d", 8):
        return f"birth {order.birth[:20]!r}: a date as YYYYMMDD, or nothing"
    if len(order.tests) > TESTS_MAX or len(set(order.tests)) < len(order.tests):
        return f"tests: at most {TESTS_MAX}, each once"
    if odd := next((one for one in order.tests if not _is_code(one)), None):
        return f"test {odd[:40]!r}: 1 to {TEST_SIZE_MAX} printable characters without blanks"
    if order.tests and not order.sample:
        return "tests: they need the number of a sample"
    return ""


def faults_of(orders: Iterable[Order]) -> Iterator[tuple[int, str]]:
    """Yield (which line, from 0; what is wrong), also of lines that contradict each other."""
    persons: dict[str, tuple[str, str, str]] = {}
    owners: dict[str, str] = {}
    for at, one in enumerate(orders):
        if reason := fault_of(one):
            yield at, reason
        person = (one.name, one.birth, one.sex)
        if persons.setdefault(one.patient, person) != person:
            yield at, f"patient {one.patient}: another name, birth date or sex than before"
        if one.sample and owners.setdefault(one.sample, one.patient) != one.patient:
            yield at, f"sample {one.sample}: it is patient {owners[one.sample]}'s already"
    for sample in owners.keys() & persons.keys():
        if owners[sample] != sample:
            yield 0, f"{sample} is the number of a sample and the id of another patient"


def _is_code(text: str) -> bool:
    return 0 < len(text) <= TEST_SIZE_MAX and text.isprintable() and " " not in text


def _is_date(text: str, form: str, size: int) -> bool:
    try:
        dt.datetime.strptime(text, form)  # noqa: DTZ007 - a date of birth has no zone
    except ValueError:
        return False
    return len(text) == size


def require_day(text: str) -> None:
    """Raise FormatError unless `text` is a day as YYYY-MM-DD."""
    if not _is_date(text, "%Y-%m-%d", 10):
        raise FormatError(f"day {text[:20]!r}: YYYY-MM-DD is wanted")


def require_orders(orders: Sequence[Order]) -> None:
    """Raise FormatError for what no kit would take."""
    if len(orders) > ORDERS_MAX:
        raise FormatError(f"a list of {len(orders)} lines; at most {ORDERS_MAX} for a day")
    for at, reason in faults_of(orders):
        raise FormatError(f"line {at + 1} of the list: {reason}")


def seal_day(day: Day, until_ms: int, kit_public: bytes, ephemeral_secret: bytes) -> SealedDay:
    """Return the day so that only the kit with this link key reads it. Raises FormatError for a list that is none."""
    require_day(day.day)
    require_orders(day.orders)
    rows = [[one.patient, one.name, one.birth, one.sex, one.sample, list(one.tests)] for one in day.orders]
    try:
        packed = codec.pack(encode_map({"day": day.day, "orders": rows}, DAY_SIZE_MAX), codec.ZSTD)
    except Misuse as error:
        raise FormatError(f"the list of {day.day} is too long: {error}") from error
    return SealedDay(until_ms, seal(packed, kit_public, CONTEXT, _bound(until_ms), ephemeral_secret))


def unseal_day(one: SealedDay, kit_secret: bytes) -> Day:
    """Return what the day says. Raises AuthError when it is sealed to another, FormatError for what is no list."""
    packed = unseal(one.sealed, kit_secret, CONTEXT, _bound(one.until_ms))
    values = decode_map(codec.unpack(packed, codec.ZSTD, DAY_SIZE_MAX), "a day's list", DAY_SIZE_MAX)
    day, rows = values.get("day"), values.get("orders")
    if not isinstance(day, str) or not isinstance(rows, list):
        raise FormatError("a day's list: want its day and its orders")
    orders = tuple(_order(row) for row in rows)
    require_day(day)
    if wrong := next(faults_of(orders), None) or (len(orders) > ORDERS_MAX and (ORDERS_MAX, "")):
        raise FormatError(f"a day's list: line {wrong[0] + 1} is not what a line may be")  # says nothing of a person
    return Day(day, orders)


def _bound(until_ms: int) -> bytes:
    return until_ms.to_bytes(6, "big")


def _order(row: object) -> Order:
    if isinstance(row, list) and len(row) == 6 and isinstance(row[5], list):
        *texts, tests = row
        if all(isinstance(one, str) for one in (*texts, *tests)):
            patient, name, birth, sex, sample = texts
            return Order(patient, name, birth, sex, sample, tuple(tests))
    raise FormatError("an order is a list of five texts and a list of tests")


def sign_worklist(version: int, kit_public: bytes, days: Sequence[SealedDay], sign_secret: bytes) -> bytes:
    """Return the object. Raises Misuse for what would not be read back."""
    rows = [[one.until_ms, one.sealed] for one in days]
    body = encode_map({"version": version, "kit": kit_public, "days": rows}, WORKLIST_SIZE_MAX)
    try:
        _read(body)
    except FormatError as error:
        raise Misuse(f"a worklist that nobody would take: {error}") from error
    return sign(CONTEXT + body, sign_secret) + body


def verify_worklist(data: bytes, sign_public: bytes) -> Worklist:
    """Return the worklist. Raises AuthError when the centre has not signed it, FormatError for what is none."""
    if not SIGNATURE_SIZE < len(data) <= SIGNATURE_SIZE + WORKLIST_SIZE_MAX:
        raise FormatError(f"a worklist of {len(data)} bytes; the signature alone has {SIGNATURE_SIZE}")
    require_signature(CONTEXT + data[SIGNATURE_SIZE:], data[:SIGNATURE_SIZE], sign_public, "the worklist")
    return _read(data[SIGNATURE_SIZE:])


def _read(body: bytes) -> Worklist:
    values = decode_map(body, "worklist", WORKLIST_SIZE_MAX)
    version, kit, days = (values.get(name) for name in ("version", "kit", "days"))
    if type(version) is not int or not 0 <= version <= VERSION_MAX:
        raise FormatError(f"worklist: version {version!r:.40}; want an integer from 0 to {VERSION_MAX}")
    if not isinstance(kit, bytes) or len(kit) != KEY_SIZE:
        raise FormatError(f"worklist: kit: its link key, {KEY_SIZE} bytes")
    if not isinstance(days, list) or len(days) > DAYS_MAX:
        raise FormatError(f"worklist: want a list of at most {DAYS_MAX} days")
    return Worklist(version, kit, tuple(_day(one) for one in days))


def _day(row: object) -> SealedDay:
    if not isinstance(row, list) or len(row) != 2:
        raise FormatError("worklist: a day is a list of until_ms and sealed")
    until_ms, sealed = row
    if type(until_ms) is not int or not 0 <= until_ms <= TIME_MAX or not isinstance(sealed, bytes):
        raise FormatError("worklist: a day is a time in ms and sealed bytes")
    return SealedDay(until_ms, sealed)


def worklist_id(data: bytes) -> bytes:
    """Return the id under which these bytes travel."""
    return hashlib.blake2b(data, digest_size=ID_SIZE, person=b"feldsher wlist").digest()


def sign_taken(object_id: bytes, kit_sign_secret: bytes) -> bytes:
    """Return the kit's word that it holds this worklist, or a newer one: the receipt, 64 bytes."""
    return sign(TAKEN_CONTEXT + object_id, kit_sign_secret)


def require_taken(receipt: bytes, object_id: bytes, kit_sign_public: bytes) -> None:
    """Raise AuthError unless the receipt is the kit's word on this worklist."""
    require_signature(TAKEN_CONTEXT + object_id, receipt, kit_sign_public, "the receipt of a worklist")
