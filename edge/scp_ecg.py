"""What a study says of an SCP-ECG record, however it came: over a line (`edge.drivers.transfer`) or as a file.

Reads by `edge.drivers.transfer_scp` and `transfer_leads`; owns nothing. The record itself is kept beside it, untouched.
"""

from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from edge.drivers import transfer_leads, transfer_scp
from wire.tag import Tag
from wire.waveform import Waveform

MEDIA_TYPE: Final = "application/x-scp-ecg"
PATIENT_PLACE: Final = "1.2"
"""Section and tag of the patient's id."""
NAME_TEXT_MAX: Final = 120

Decode = Callable[[bytes], tuple[str, str]]
"""Returns the text of bytes, and the character set that was taken for them."""


@dataclass(frozen=True, slots=True)
class Ecg:
    """What a record says. `notes`: what does not hold, and why its leads were not read."""

    patient_ids: tuple[tuple[str, str], ...]
    model: str
    time: str
    notes: tuple[str, ...]
    partial: str
    """Why it is not whole."""
    waves: tuple[Tag, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids by which it means a patient."""
        return tuple(value for place, value in self.patient_ids if place == PATIENT_PLACE)


def read(record: transfer_scp.Record, decode: Decode, *, wants_leads: bool = True) -> Ecg:
    """Return what the record says. Never raises."""
    texts = ((place, value.decode() if record.is_wide else decode(value)[0]) for place, value in record.texts)
    named = tuple((place, text[:NAME_TEXT_MAX]) for place, text in texts)
    model = "".join(char if char.isprintable() else "?" for char in decode(record.model)[0])
    waves, unread = _waves(record) if wants_leads else ((), ())
    partial = next((fault for fault in record.faults if "bytes" in fault), "")
    return Ecg(named, model, record.time, (*unread, *record.faults), partial, waves)


def _waves(record: transfer_scp.Record) -> tuple[tuple[Tag, ...], tuple[str, ...]]:
    """Return the leads as a tag, or why they are not read."""
    try:
        leads = transfer_leads.read(record.sections)
    except transfer_leads.Unread as reason:
        return (), (f"its leads were not read: {reason}",)
    # The device's clock, as if its zone were UTC: there is no better time for what was recorded before it came.
    began_ms = _since_1970_ms(record.time)
    wave = Waveform(leads.names, leads.rate_hz, "uV", leads.microvolts, 0.0, began_ms, leads.samples)
    return (wave.to_tag(),), ()


def _since_1970_ms(time: str) -> int:
    """Return fourteen digits of date and time as a moment; 0 when they are none."""
    parts = [int(time[at:end]) for at, end in pairwise((0, 4, 6, 8, 10, 12, 14))] if len(time) == 14 else []
    is_one = len(parts) == 6 and 1970 <= parts[0] <= 9999 and 1 <= parts[1] <= 12 and 1 <= parts[2] <= 31
    return 1000 * timegm((*parts, 0, 0, 0)) if is_one else 0
