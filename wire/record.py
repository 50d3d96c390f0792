"""The records of a study: what the inner tags of an entry say, as typed values (`docs/formats/study.md`).

Each class turns into its tag (`to_tag`) and is read from it (`from_tag`); both raise FormatError that names the key,
what is there and what is wanted. On the wire a record is a CBOR map; a value that is the default (an empty text or
list, False, 0) is left out and read back as such, and a key that this version does not know is kept in `extra` and
written again. Text stays as the device sent it: nothing here trims, rounds or converts.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from wire import kinds
from wire.errors import FormatError
from wire.maps import decode_map, encode_map
from wire.tag import Tag

TEXT_SIZE_MAX: Final = 64 * 1024
"""Characters in one text value."""
ITEM_COUNT_MAX: Final = 4096
"""Observations, notes, comments or identifiers in one record."""
PICTURE_HEAD_SIZE_MAX: Final = (1 << 16) - 1
PICTURES_MAX: Final = 4096
"""Pictures of one study that may have previews."""
STAGES_MAX: Final = 9
SIDE_MAX: Final = (1 << 31) - 1
HEADLINE_COUNT_MAX: Final = 8
INTEGER_MAX: Final = (1 << 48) - 1
"""Times (ms) and counts."""
WRITTEN_MS: Final = 1_793_000_000_000
"""No study is older than this program (October 2026): a kit's clock that says so was never set."""
DRIFT_PPM: Final = 100
"""How wrong a kit's monotonic clock may be. A Pi's crystal is within 50 when it is warm, and a van is not always."""
CLOCKS_KNOWN: Final = ("gps", "network")
"""Sources of a kit's clock that tell the true time (ClockMark)."""
FORMS: Final = ("laboratory", "oximetry", "blood-pressure", "body-measures", "ecg", "radiation", "document", "unknown")

Extra = Mapping[str, Any]
Check = Callable[[Any], Any]
"""Returns the value as the class holds it, or raises ValueError saying what was wanted."""


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_SIZE_MAX:
        raise ValueError(f"text of at most {TEXT_SIZE_MAX} characters")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - a wrong value of a map, whatever its type
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= INTEGER_MAX:
        raise ValueError(f"an integer from 0 to {INTEGER_MAX}")
    return value


def _difference(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise ValueError(f"an integer from -{INTEGER_MAX} to {INTEGER_MAX}")
    return value


def _study_id(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != 16:
        raise ValueError("16 bytes")
    return value


def _boot_id(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) not in {0, 8}:
        raise ValueError("8 bytes, or none")
    return value


def _list_of(item: Check, count_max: int = ITEM_COUNT_MAX) -> Check:
    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) or len(value) > count_max:
            raise ValueError(f"a list of at most {count_max}")
        return tuple(item(one) for one in value)

    return check


def _texts(count: int) -> Check:
    def check(value: object) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or len(value) != count:
            raise ValueError(f"a list of {count} texts")
        return tuple(_text(one) for one in value)

    return check


def _plain(value: object) -> object:
    """Return `value` as CBOR holds it; records within records become maps."""
    if isinstance(value, _Record):
        return value.to_map()
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class _Record:
    """Base: a dataclass whose fields are the keys of `CHECKS`, and `extra`."""

    CHECKS: ClassVar[Mapping[str, Check]]
    extra: Extra = field(default_factory=dict, kw_only=True)

    def to_map(self) -> dict[str, Any]:
        """Return the map of this record, without values that are the default. Raises FormatError."""
        values: dict[str, Any] = {}
        for one in dataclasses.fields(self):
            if one.name in self.CHECKS and (value := getattr(self, one.name)) != one.default:
                values[one.name] = _plain(self._checked(one.name, value))
        return values | dict(self.extra)

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Self:
        """Return the record that `values` says. Raises FormatError."""
        known: dict[str, Any] = {name: cls._checked(name, values[name]) for name in cls.CHECKS if name in values}
        for one in dataclasses.fields(cls):
            if one.default is dataclasses.MISSING and one.name in cls.CHECKS and one.name not in known:
                raise FormatError(f"{cls.__name__}: {one.name} is missing")
        return cls(**known, extra={name: value for name, value in values.items() if name not in cls.CHECKS})

    @classmethod
    def _checked(cls, name: str, value: object) -> object:
        try:
            return cls.CHECKS[name](value)
        except FormatError:
            raise
        except ValueError as error:
            have = repr(value)
            raise FormatError(f"{cls.__name__}: {name} is {have[:60]}, want {error}") from error


@dataclass(frozen=True)
class _TagRecord(_Record):
    KIND: ClassVar[tuple[int, int]]

    def to_tag(self, time_ms: int | None = None) -> Tag:
        """Return the tag of this record; `time_ms` stands in its header."""
        return Tag(*self.KIND, encode_map(self.to_map()), time_ms=time_ms)

    @classmethod
    def from_tag(cls, tag: Tag) -> Self:
        """Return the record in `tag` (unsealed, unpacked). Raises FormatError."""
        if tag.kind != cls.KIND:
            raise FormatError(f"{cls.__name__}: tag {tag.group:02x}:{tag.number:02x} is of another type")
        return cls.from_map(decode_map(tag.data, cls.__name__))


@dataclass(frozen=True)
class Device(_TagRecord):
    """What the device said of itself, and which driver on which port heard it."""

    KIND = (kinds.CAPTURE, kinds.DEVICE)
    CHECKS: ClassVar[Mapping[str, Check]] = dict.fromkeys(
        ("driver", "driver_version", "port", "model", "serial"), _text
    )
    driver: str = ""
    driver_version: str = ""
    port: str = ""
    model: str = ""
    serial: str = ""


@dataclass(frozen=True)
class Observation(_Record):
    """One value of a result, as received; the last three only where the table of codes knows them."""

    CHECKS: ClassVar[Mapping[str, Check]] = dict.fromkeys(
        ("code", "name", "value", "unit", "range", "flags", "status", "time"), _text
    ) | {
        "comments": _list_of(_text),
        "loinc": _text,
        "ucum": _text,
        "ucum_value": _text,
    }
    code: str = ""
    name: str = ""
    value: str = ""
    unit: str = ""
    range: str = ""
    flags: str = ""
    status: str = ""
    time: str = ""
    comments: tuple[str, ...] = ()
    loinc: str = ""
    ucum: str = ""
    ucum_value: str = ""


def _observation(value: object) -> Observation:
    if isinstance(value, Observation):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("a map")  # noqa: TRY004 - as above
    return Observation.from_map(value)


@dataclass(frozen=True)
class Result(_TagRecord):
    """One message of results. `qc`: quality control, never a patient's result."""

    KIND = (kinds.CAPTURE, kinds.RESULT)
    CHECKS: ClassVar[Mapping[str, Check]] = {
        "qc": _flag,
        "device_time": _text,
        "specimen_id": _text,
        "patient_ids": _list_of(_texts(2)),
        "encoding": _text,
        "observations": _list_of(_observation),
        "notes": _list_of(_text),
    }
    qc: bool = False
    device_time: str = ""
    specimen_id: str = ""
    patient_ids: tuple[tuple[str, str], ...] = ()
    encoding: str = ""
    observations: tuple[Observation, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place(_TagRecord):
    """Where the study began, as a GPS said `age_ms` before, and what its clock said of ours.

    Degrees are decimal, south and west negative. `clock_offset_ms` is the kit's clock less the satellites', and stands
    only with `gps_time`; the bytes on the line take their time too, so it is good to half a second.
    """

    KIND = (kinds.CAPTURE, kinds.PLACE)
    CHECKS: ClassVar[Mapping[str, Check]] = {
        **dict.fromkeys(("latitude", "longitude", "altitude_m", "satellites", "hdop", "gps_time", "port"), _text),
        "clock_offset_ms": _difference,
        "age_ms": _integer,
        "sentences": _list_of(_text),
    }
    latitude: str
    longitude: str
    altitude_m: str = ""
    satellites: str = ""
    hdop: str = ""
    gps_time: str = ""
    clock_offset_ms: int = 0
    age_ms: int = 0
    port: str = ""
    sentences: tuple[str, ...] = ()
    """As received."""


@dataclass(frozen=True)
class ClockMark(_TagRecord):
    """How good the kit's clock was when this was written, and what the device's clock said.

    `source`: gps, network, rtc or none. With the first two `offset_ms` is the kit's clock less the true time, which was
    known `age_ms` before, and now within `error_ms`. `boot` and `uptime_ms` tell when it was on a clock that nobody
    sets: what the kit wrote before its clock was put right can be dated by what it wrote afterwards in the same boot.
    With `device_time` (as received) `device_offset_ms` is the device's clock less the kit's; a reading that names no
    zone is taken in the kit's, `zone_min` minutes east of UTC. One that shows no seconds, or none but 0, may be later
    by less than `device_step_ms`. `stepped_ms`: while the study was open the kit's clock was set forward by so much.
    """

    KIND = (kinds.CAPTURE, kinds.CLOCK)
    CHECKS: ClassVar[Mapping[str, Check]] = {
        "source": _text,
        **dict.fromkeys(("kit_ms", "uptime_ms"), _integer),
        "boot": _boot_id,
        "offset_ms": _difference,
        **dict.fromkeys(("error_ms", "age_ms"), _integer),
        "zone_min": _difference,
        "device_time": _text,
        **dict.fromkeys(("device_offset_ms", "stepped_ms"), _difference),
        "device_step_ms": _integer,
    }
    source: str
    kit_ms: int
    uptime_ms: int = 0
    boot: bytes = b""
    offset_ms: int = 0
    error_ms: int = 0
    age_ms: int = 0
    zone_min: int = 0
    device_time: str = ""
    device_offset_ms: int = 0
    stepped_ms: int = 0
    device_step_ms: int = 0


@dataclass(frozen=True)
class Partial(_TagRecord):
    """Why what was read is not whole; the RAW beside it holds what came."""

    KIND = (kinds.CAPTURE, kinds.PARTIAL)
    CHECKS: ClassVar[Mapping[str, Check]] = {"reason": _text, "driver": _text}
    reason: str
    driver: str = ""


@dataclass(frozen=True)
class Patient(_TagRecord):
    """Whose study it is. `source`: barcode, device, manual, or worklist (looked up there by the number of a sample);
    `checked`: the check digit of what was scanned holds."""

    KIND = (kinds.DATABASE, kinds.PATIENT)
    CHECKS: ClassVar[Mapping[str, Check]] = {"id": _text, "source": _text, "checked": _flag, "time_ms": _integer}
    id: str
    source: str
    checked: bool = False
    time_ms: int = 0


@dataclass(frozen=True)
class Operator(_TagRecord):
    """Who worked with the device, by their badge; `checked`: its check digit holds."""

    KIND = (kinds.DATABASE, kinds.OPERATOR)
    CHECKS: ClassVar[Mapping[str, Check]] = {"id": _text, "checked": _flag, "time_ms": _integer}
    id: str
    checked: bool = False
    time_ms: int = 0


@dataclass(frozen=True)
class Correction(_TagRecord):
    """Says that an earlier entry no longer holds; the entry itself stays."""

    KIND = (kinds.DATABASE, kinds.CORRECTION)
    CHECKS: ClassVar[Mapping[str, Check]] = {"replaces": _integer, "reason": _text}
    replaces: int
    reason: str = ""


@dataclass(frozen=True)
class Note(_TagRecord):
    """A remark, by a person or by a driver."""

    KIND = (kinds.DATABASE, kinds.NOTE)
    CHECKS: ClassVar[Mapping[str, Check]] = {"text": _text}
    text: str


@dataclass(frozen=True)
class Summary(_TagRecord):
    """A study in a few lines: travels ahead of it, and closes it."""

    KIND = (kinds.CAPTURE, kinds.SUMMARY)
    CHECKS: ClassVar[Mapping[str, Check]] = {
        "study": _study_id,
        **dict.fromkeys(("kit", "form"), _text),
        **dict.fromkeys(("opened_ms", "closed_ms"), _integer),
        **dict.fromkeys(("device", "patient"), _text),
        "patient_conflict": _flag,
        "entries": _integer,
        **dict.fromkeys(("qc", "partial", "recovered"), _flag),
        "headline": _list_of(_texts(3), HEADLINE_COUNT_MAX),
        "unlisted": _flag,
        "operator": _text,
    }
    study: bytes
    kit: str
    form: str
    opened_ms: int
    closed_ms: int
    device: str = ""
    patient: str = ""
    patient_conflict: bool = False
    entries: int = 0
    qc: bool = False
    partial: bool = False
    recovered: bool = False
    headline: tuple[tuple[str, str, str], ...] = ()
    unlisted: bool = False
    """The kit had a worklist, and what names the patient is not on it."""
    operator: str = ""


@dataclass(frozen=True)
class Picture:
    """An image or document, its bytes untouched: `u16 size of the map | CBOR map | the bytes`."""

    media_type: str
    name: str
    image: bytes
    KIND: ClassVar[tuple[int, int]] = (kinds.IMAGE, kinds.PICTURE)

    def to_tag(self, time_ms: int | None = None) -> Tag:
        """Return the tag of this picture. It may be over 1 MiB: `wire.study` splits it."""
        head = {"media_type": self.media_type, "name": self.name}
        return Tag(*self.KIND, _with_head(head, self.image), time_ms=time_ms)

    @classmethod
    def from_tag(cls, tag: Tag) -> Self:
        """Return the picture in `tag` (unsealed, unpacked, joined). Raises FormatError."""
        head, image = _headed(tag, cls.KIND, "Picture")
        try:
            return cls(_text(head.get("media_type", "")), _text(head.get("name", "")), image)
        except ValueError as error:
            raise FormatError(f"Picture: media_type and name: want {error}") from error


@dataclass(frozen=True)
class Preview:
    """A small picture of picture `number` of a study, counted from 0. A higher stage shows more than a lower one."""

    study: bytes
    number: int
    stage: int
    media_type: str
    """Of the preview itself."""
    name: str
    width: int
    height: int
    """Of the whole picture."""
    image: bytes
    KIND: ClassVar[tuple[int, int]] = (kinds.IMAGE, kinds.PREVIEW)

    def to_tag(self) -> Tag:
        """Return the tag of this preview, in the same form as a picture's."""
        head = {name: getattr(self, name) for name in _PREVIEW_HEAD}
        return Tag(*self.KIND, _with_head(head, self.image))

    @classmethod
    def from_tag(cls, tag: Tag) -> Self:
        """Return the preview in `tag`. Raises FormatError."""
        head, image = _headed(tag, cls.KIND, "Preview")
        for name, (shape, low, high) in _PREVIEW_HEAD.items():
            value = head.get(name)
            size = value if type(value) is int else len(value) if isinstance(value, bytes | str) else -1
            if type(value) is not shape or not low <= size <= high:
                raise FormatError(f"Preview: {name} is {str(value)[:40]!r}; want {shape.__name__}, {low} to {high}")
        return cls(**{name: head[name] for name in _PREVIEW_HEAD}, image=image)


_PREVIEW_HEAD: Final[Mapping[str, tuple[type, int, int]]] = {
    "study": (bytes, 16, 16),
    "number": (int, 0, PICTURES_MAX - 1),
    "stage": (int, 1, STAGES_MAX),
    "media_type": (str, 0, TEXT_SIZE_MAX),
    "name": (str, 0, TEXT_SIZE_MAX),
    "width": (int, 1, SIDE_MAX),
    "height": (int, 1, SIDE_MAX),
}
"""Of each key the type, and the bounds of its value or its length."""


def _with_head(head: Mapping[str, Any], image: bytes) -> bytes:
    raw = encode_map(dict(head), PICTURE_HEAD_SIZE_MAX)
    return len(raw).to_bytes(2, "big") + raw + image


def _headed(tag: Tag, kind: tuple[int, int], what: str) -> tuple[dict[str, Any], bytes]:
    end = 2 + int.from_bytes(tag.data[:2], "big")
    if tag.kind != kind or len(tag.data) < 2 or len(tag.data) < end:
        raise FormatError(f"{what}: {len(tag.data)} bytes of tag {tag.group:04x}:{tag.number:02x}, cut short")
    return decode_map(tag.data[2:end], what), tag.data[end:]


RECORDS: Final[Mapping[tuple[int, int], type[_TagRecord]]] = {
    one.KIND: one for one in (Device, Result, Place, ClockMark, Partial, Patient, Operator, Correction, Note, Summary)
}
"""The class of each type of tag that holds a map."""
