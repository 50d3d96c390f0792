"""Nonin pulse oximeters (Xpod, OEM III, 9560 over a serial line): saturation, pulse and the pulse wave, continuously.

Written from Nonin's "9560 Bluetooth Specification" and the OEM III module's manual, formats 2, 7, 8 and 13
(`nonin_formats.py` has the bytes). On no unit of our own; no capture of a real one is public.

The oximeter speaks without being asked and waits for nothing. So a study is found in the stream:

* It begins when `FINGER_IN_S` of numbers were valid: a finger is in.
* It ends when there was none for `FINGER_OUT_S`, when the line was silent for `SILENCE_S`, when the port vanished, or
  after `STUDY_S_MAX`; then the next begins at once. A spot check (format 13) is a study by itself.
* Every `CHUNK_S` one entry is committed: the raw bytes, the pulse wave at 75 Hz (formats 2, 7), and the numbers once
  a second as a wave of two leads, where -1 stands for none: no gap is ever filled. The last entry holds the RESULT:
  median, lowest and highest.

What the disk refuses is held and offered again (`edge.entries`). Bytes that were lost show as skipped bytes and broken
packets, are counted, and said in the RESULT; the waves are then cut and begin anew, so that their times stay right.
"""

from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Final

from edge import codes
from edge.driver import Commit, Driver, Event, Facts, Line, Note, Option, Sampled, StudyBegins, StudyEnds
from edge.drivers.nonin_formats import (
    FORMATS,
    PACKET_FRAMES,
    RATE_HZ,
    Framer,
    Numbers,
    Packets,
    from_format_8,
    from_format_13,
)
from edge.entries import EntryQueue
from edge.registry import read_options
from wire.record import Observation, Result
from wire.waveform import Waveform

FINGER_IN_S: Final = 1.0
FINGER_OUT_S: Final = 5.0
SILENCE_S: Final = 5.0
CHUNK_S: Final = 10
STUDY_S_MAX: Final = 900
CHUNK_SIZE_MAX: Final = 16_384
"""Raw bytes of one entry; at 75 frames a second ten seconds are 3,750."""
BEFORE_SIZE_MAX: Final = 1_024
"""Raw bytes before a study that go with it, so that its first packet is whole."""
UNSURE_SIZE_MAX: Final = 4_096
"""Bytes to look at before the search for the format begins anew."""
READ_SIZE: Final = 256
PACKETS_PER_S: Final = RATE_HZ // PACKET_FRAMES
NONE: Final = -1

FACTS: Final = Facts(
    name="nonin",
    version="1",
    title="Nonin pulse oximeters, serial formats 2, 7, 8, 13",
    manual="Nonin 9560 Bluetooth Specification; Nonin OEM III module specification",
    form="oximetry",
    lines=(Line(9600),),
    options=(Option("format", "auto", "data format, as the oximeter is set", ("auto", *FORMATS)),),
)


class _Stretch:
    """A piece of the measurement without a gap."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.pleth: list[int] = []
        self.seconds: list[tuple[int, int]] = []

    def waveforms(self) -> list[Sampled]:
        waves = []
        if self.pleth:
            waves.append(Waveform(("pleth",), float(RATE_HZ), "", 1.0, 0.0, 0, (self.pleth,)))
        if self.seconds:
            spo2, pulse = zip(*self.seconds, strict=True)
            waves.append(Waveform(("SpO2 %", "pulse /min"), 1.0, "", 1.0, 0.0, 0, (spo2, pulse), missing=NONE))
        return [Sampled(self.began, wave) for wave in waves]


class _Chunk:
    """What was heard since the last entry."""

    def __init__(self, began: float) -> None:
        self.raw = bytearray()
        self.stretches = [_Stretch(began)]
        self.seconds = 0

    @property
    def last(self) -> _Stretch:
        return self.stretches[-1]

    def cut(self, now: float) -> None:
        """Samples are missing: what follows begins anew."""
        if self.last.pleth or self.last.seconds:
            self.stretches.append(_Stretch(now))
        else:
            self.last.began = now

    def commit(self) -> Commit:
        return Commit(bytes(self.raw), waveforms=tuple(wave for one in self.stretches for wave in one.waveforms()))


class _Study:
    """One measurement: what the RESULT is made of."""

    def __init__(self, skipped: int = 0, broken: int = 0) -> None:
        self.skipped_before, self.broken_before = skipped, broken
        self.spo2: list[int] = []
        self.pulse: list[int] = []
        self.notes: list[str] = []
        self.seconds = 0
        self.empty_s = 0.0
        """How long there has been no valid number."""

    def second(self, seen: Sequence[Numbers]) -> tuple[int, int]:
        """Return and keep what counts for one second: the last valid values in it."""
        spo2 = next((one.spo2 for one in reversed(seen) if one.spo2 is not None), None)
        pulse = next((one.pulse for one in reversed(seen) if one.pulse is not None), None)
        self.spo2 += [spo2] if spo2 is not None else []
        self.pulse += [pulse] if pulse is not None else []
        return (NONE if spo2 is None else spo2), (NONE if pulse is None else pulse)

    def observations(self, time: str = "") -> tuple[Observation, ...]:
        found = []
        for name, unit, values in (("SpO2", "%", self.spo2), ("pulse", "/min", self.pulse)):
            if values:
                found.append(_observation(name, median_low(values), unit, time))
        for name, unit, values in (("SpO2 lowest", "%", self.spo2), ("pulse lowest", "/min", self.pulse)):
            if len(values) > 1:
                found.append(_observation(name, min(values), unit, time))
        if len(self.pulse) > 1:
            found.append(_observation("pulse highest", max(self.pulse), "/min", time))
        return tuple(found)


def _observation(name: str, value: int, unit: str, time: str) -> Observation:
    coding = codes.built_in().coding((name,), str(value), unit)
    return Observation(
        code=name,
        name=name,
        value=str(value),
        unit=unit,
        time=time,
        loinc=coding.loinc,
        ucum=coding.ucum,
        ucum_value=coding.value,
    )


class _Nonin:
    """See the module's text. Time within a study is counted in the oximeter's own packets; the clock tells silence."""

    def __init__(self, name: str) -> None:
        self._names = tuple(FORMATS) if name == "auto" else (name,)
        self._framers: list[Framer] = []
        self._packets = Packets()
        self._queue = EntryQueue()
        self._before = bytearray()
        self._study: _Study | None = None
        self._chunk = _Chunk(0.0)
        self._second: list[Numbers] = []
        self._heard_at = self._valid_s = 0.0
        self._skipped = self._broken = 0
        self._search()

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._heard_at = now
        for at in range(0, len(data), READ_SIZE):
            self._take(data[at : at + READ_SIZE], now)
        return self._queue.release()

    def tick(self, now: float) -> list[Event]:
        if self._study is not None and now - self._heard_at >= SILENCE_S:
            self._end("the oximeter fell silent", now)
        return [*self._queue.tick(now), *self._queue.release()]

    def committed(self, token: int, now: float) -> list[Event]:
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        self._end("the port vanished", now)
        self._search()
        return self._queue.release()

    def deadline(self) -> float | None:
        times = [at for at in (self._queue.deadline(),) if at is not None]
        return min([*times, *([self._heard_at + SILENCE_S] if self._study is not None else [])], default=None)

    # From bytes to numbers

    def _search(self) -> None:
        """Forget which format it is."""
        self._framers = [Framer(name) for name in self._names]
        self._packets = Packets()
        self._skipped = self._broken = 0
        self._valid_s = 0.0

    def _take(self, data: bytes, now: float) -> None:
        for framer in list(self._framers):
            for skipped, frame in framer.feed(data):
                if self._is_chosen(framer):
                    self._keep(skipped + frame, now)
                    self._read(framer, frame, now)
        if all(framer.skipped_in_a_row > UNSURE_SIZE_MAX for framer in self._framers):
            self._search()

    def _is_chosen(self, framer: Framer) -> bool:
        """Return whether this is the oximeter's format; the first that is sure is chosen."""
        if len(self._framers) > 1 and framer in self._framers and framer.is_sure:
            self._framers = [framer]
        return self._framers == [framer]

    def _keep(self, raw: bytes, now: float) -> None:
        if self._study is None:
            self._before += raw
            del self._before[:-BEFORE_SIZE_MAX]
            return
        self._chunk.raw += raw
        if len(self._chunk.raw) >= CHUNK_SIZE_MAX:
            self._commit(now)

    def _read(self, framer: Framer, frame: bytes, now: float) -> None:
        if framer.skipped_bytes > self._skipped:
            self._skipped = framer.skipped_bytes
            self._cut(now)
        if frame:
            self._frame(framer.name, frame, now)
        if self._packets.broken > self._broken:
            self._broken = self._packets.broken
            self._cut(now)

    def _cut(self, now: float) -> None:
        """Bytes were lost, and samples with them."""
        self._second.clear()
        self._chunk.cut(now)

    def _frame(self, name: str, frame: bytes, now: float) -> None:
        if name == "13":
            self._spot(from_format_13(frame))
        elif name == "8":
            self._numbers(from_format_8(frame), 1, now)
        else:
            wide = name == "7"
            found = self._packets.feed(frame[0] if wide else frame[1], frame[3])
            if self._study is not None:
                self._chunk.last.pleth.append(frame[1] << 8 | frame[2] if wide else frame[2])
            if found is not None:
                self._numbers(found, PACKETS_PER_S, now)

    # From numbers to studies

    def _numbers(self, found: Numbers, per_s: int, now: float) -> None:
        """Take one set of numbers, of which there are `per_s` in a second."""
        is_valid = found.is_attached and (found.spo2 is not None or found.pulse is not None)
        self._valid_s = self._valid_s + 1 / per_s if is_valid else 0.0
        if self._study is None:
            if self._valid_s >= FINGER_IN_S:
                self._begin(now)
            return
        study = self._study
        study.empty_s = 0.0 if is_valid else study.empty_s + 1 / per_s
        self._second.append(found)
        if len(self._second) == per_s:
            self._end_second(study, now)

    def _begin(self, now: float) -> None:
        self._queue.put(StudyBegins(FACTS.form))
        self._study, self._chunk = _Study(self._skipped, self._broken), _Chunk(now)
        self._chunk.raw += self._before
        self._before.clear()
        self._second = []

    def _end_second(self, study: _Study, now: float) -> None:
        self._chunk.last.seconds.append(study.second(self._second))
        self._second = []
        self._chunk.seconds += 1
        study.seconds += 1
        if study.empty_s >= FINGER_OUT_S:
            self._end("", now)
        elif study.seconds >= STUDY_S_MAX:
            self._end("", now)
            self._begin(now)
            self._queue.put(Note("goes on from the study before"))
        elif self._chunk.seconds >= CHUNK_S:
            self._commit(now)

    def _commit(self, now: float) -> None:
        chunk, self._chunk = self._chunk, _Chunk(now)
        commit = chunk.commit()
        if commit.raw or commit.waveforms:
            self._queue.put(commit)

    def _end(self, reason: str, now: float) -> None:
        study, self._study = self._study, None
        if study is None:
            return
        self._chunk.raw += self._framers[0].rest() if reason else b""
        self._commit(now)
        self._valid_s = 0.0
        study.notes += [reason] if reason else []
        skipped, broken = self._skipped - study.skipped_before, self._broken - study.broken_before
        if skipped or broken:
            study.notes.append(f"{skipped} bytes skipped, {broken} packets broken")
        self._conclude(study)

    def _conclude(self, study: _Study, time: str = "") -> None:
        found = study.observations(time)
        self._queue.put(Commit(tags=(Result(device_time=time, observations=found, notes=tuple(study.notes)).to_tag(),)))
        self._queue.put(StudyEnds(headline=tuple((one.name, one.value, one.unit) for one in found)))

    def _spot(self, found: Numbers) -> None:
        """A spot check is a study by itself."""
        study = _Study()
        study.second([found])
        self._queue.put(StudyBegins(FACTS.form))
        self._queue.put(Commit(bytes(self._before)))
        self._before.clear()
        self._conclude(study, found.time)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one oximeter. Raises ConfigError."""
    return _Nonin(str(read_options(FACTS, options)["format"]))
