"""A bedside device that speaks POCT1-A: it calls, says what it has, sends it when asked, one result at a time.

Written from what makers' documents say of the conversation (Nova StatStrip, Siemens DCA Vantage, PixCell HemoScreen,
Quidel Sofia): HEL, ACK, DST, ACK, REQ, ACK, OBS, ACK, …, EOT, ACK, END or DTV START_CONTINUOUS, ACK.

* `statstrip`: a glucose meter in its dock; documents follow one another, HDR has its message type, LOINC codes.
* `hemoscreen`: a haematology analyser; MLLP frames, several values, comments.
* `sofia`: a reader of rapid tests; qualitative results; has nothing stored and sends when it is told to go on.

An answer that does not come within the device's timeout ends the conversation; the device calls again later and sends
again what was not acknowledged, with the reason RES.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hardware.simulated.device import Report

STYLES: Final = ("statstrip", "hemoscreen", "sofia")
ANSWER_S: Final = 30.0
CALLS_AGAIN_S: Final = 20.0
CALLS_MAX: Final = 5
FAULTS: Final[Mapping[str, str]] = {
    "lost-ack": "the acknowledgement of the first result is lost: it comes again in another conversation",
    "cut": "silence in the middle of the first result, and another conversation later",
    "control": "the first result is of control material (OBS.R02)",
    "two-patients": "the first message holds the results of two patients",
    "entity": "the first message has a document type with an entity",
    "unclosed": "an element of the first message is not closed",
    "keep-alive": "a habit: sends KPA before each result",
    "declaration": "a habit: an XML declaration stands before each message",
    "wants-patients": "asks for the list of patients before the first result",
}
_FIELD: Final = re.compile(r"<([A-Za-z_.]+)\s+V\s*=\s*\"([^\"]*)\"")


def _valued(name: str, value: str, **more: str) -> str:
    attributes = "".join(f' {key}="{text}"' for key, text in more.items())
    return f'<{name} V="{value}"{attributes}/>'


def _tests(style: str, seed: int, at: int) -> list[tuple[str, str, str, str, str, str]]:
    """Return (code, name, system, value, unit, comment) of one invented result."""
    number = seed * 37 + at * 11
    if style == "statstrip":
        return [("2341-6", "Glu", "LN", str(70 + number % 150), "mg/dL", "")]
    if style == "sofia":
        return [("Flu A", "", "QUIDEL", ("negative", "positive")[number % 2], "", "")]
    return [
        ("6690-2", "WBC", "LN", f"{4 + number % 70 / 10:.1f}", "10*3/uL", ""),
        ("789-8", "RBC", "LN", f"{4 + number % 13 / 10:.1f}", "10*6/uL", "Abnormal cells may affect marked results"),
        ("718-7", "HGB", "LN", f"{12 + number % 40 / 10:.1f}", "g/dL", ""),
    ]


def service(style: str, seed: int, patient: str, at: int, *, is_control: bool = False, is_again: bool = False) -> str:
    """Return SVC: one test event."""
    tests = ""
    for code, name, system, value, unit, comment in _tests(style, seed, at):
        named = _valued("OBS.observation_id", code, **({"DN": name} if name else {}), SN=system)
        said = _valued("OBS.value", value, U=unit) if unit else _valued("OBS.qualitative_value", value)
        limits = _valued("OBS.normal_lo-hi_limit", "[70;110]", U=unit) if name == "Glu" else ""
        note = f"<NTE>{_valued('NTE.text', comment)}</NTE>" if comment else ""
        tests += f"<OBS>{named}{said}{_valued('OBS.method_cd', 'M')}{_valued('OBS.status_cd', 'A')}{limits}{note}</OBS>"
    of_whom = _valued("PT.patient_id", patient)
    material = (
        _valued("CTC.name", "QC level 1") + _valued("CTC.lot_number", f"L{seed:04d}") + _valued("CTC.level_cd", "N")
    )
    subject = f"<CTC>{material}{tests}</CTC>" if is_control else f"<PT>{of_whom}{tests}</PT>"
    reagent = _valued("RGT.name", "strips") + _valued("RGT.lot_number", f"{140_000 + seed}")
    return (
        f"<SVC>{_valued('SVC.role_cd', 'LQC' if is_control else 'OBS')}"
        f"{_valued('SVC.observation_dttm', time_of(at))}{_valued('SVC.reason_cd', 'RES' if is_again else 'NEW')}"
        f"{subject}<OPR>{_valued('OPR.operator_id', 'op 7')}</OPR><RGT>{reagent}</RGT></SVC>"
    )


def time_of(at: int) -> str:
    """Return the time of the `at`-th event of an invented day."""
    return f"2026-08-01T{8 + at // 60 % 12:02d}:{at % 60:02d}:00+03:00"


class Poct1aDevice:
    """Sends its results, in as many conversations as it takes; in continuous mode one every `every_s` seconds."""

    def __init__(
        self, style: str, seed: int, patients: Sequence[str], every_s: float = 5.0, faults: Iterable[str] = ()
    ) -> None:
        self._style, self._seed, self._every_s, self._faults = style, seed, every_s, set(faults)
        self._patients = list(patients)
        self._results = list(range(len(self._patients)))
        """Of which the host has not said yet that it has them."""
        self._sent: set[int] = set()
        self._number = 0
        self._calls = 0
        self._awaits = ""
        """The message whose acknowledgement is awaited."""
        self._is_continuous = False
        self._at: float | None = 0.0
        self._heard = ""
        self.report = Report(messages=len(self._patients))

    # The line

    def feed(self, data: bytes, now: float) -> bytes:
        self._heard += data.decode("utf-8", "replace")
        out = b""
        while found := re.search(r"<([A-Z]{3}\.[A-Z0-9.]+)>.*?</\1>", self._heard, re.DOTALL):
            self._heard = self._heard[found.end() :]
            out += self._hear(found[1], dict(_FIELD.findall(found[0])), now)
        self.report.bytes_sent += len(out)
        return out

    def tick(self, now: float) -> bytes:
        if self._at is None or now < self._at:
            return b""
        out = self._time_is_up(now)
        self.report.bytes_sent += len(out)
        return out

    def deadline(self) -> float | None:
        return self._at

    @property
    def is_done(self) -> bool:
        return self._at is None

    # The conversation

    def _time_is_up(self, now: float) -> bytes:
        if not self._awaits and self._is_continuous:
            return self._next(now)
        if self._awaits:
            self.report.refused += 1
            self._awaits, self._is_continuous, self._heard = "", False, ""
            self._at = now + CALLS_AGAIN_S
            return b""
        if not self._results:
            self._at = None
            return b""
        self._calls += 1
        if self._calls > CALLS_MAX:
            self.report.failed += len(self._results)
            self._at = None
            return b""
        self._number = 0
        timeout = f"<DCP>{_valued('DCP.application_timeout', f'{ANSWER_S:.0f}')}</DCP>"
        named = (
            _valued("DEV.vendor_id", "SIM")
            + _valued("DEV.model_id", self._style)
            + _valued("DEV.serial_id", "0600100736")
        )
        return self._say("HEL.R01", f"<DEV>{named}{timeout}</DEV>", now)

    def _hear(self, kind: str, fields: dict[str, str], now: float) -> bytes:
        if kind == "ACK.R01":
            return self._acknowledged(fields, now)
        reply = self._ack(fields.get("HDR.control_id", ""))
        if kind == "REQ.R01" and fields.get("REQ.request_cd") == "ROBS":
            return reply + self._next(now)
        if kind == "DTV.R01" and fields.get("DTV.command_cd") == "START_CONTINUOUS":
            self._is_continuous, self._at = True, now + self._every_s
        elif kind == "END.R01":
            self._awaits = ""
            self._at = now + CALLS_AGAIN_S if self._results else None
        return reply

    def _acknowledged(self, fields: dict[str, str], now: float) -> bytes:
        awaited, self._awaits = self._awaits, ""
        if fields.get("ACK.ack_control_id") != str(self._number) or not awaited:
            self._awaits = awaited
            return b""
        if fields.get("ACK.type_cd") != "AA" and awaited[:3] == "OBS":
            self.report.refused += 1
        if awaited[:3] == "OBS" and "lost-ack" in self._faults:
            self._faults.discard("lost-ack")
            self._awaits = awaited
            return b""
        if awaited == "HEL.R01":
            stored = 0 if self._style == "sofia" else len(self._results)
            return self._say("DST.R01", f"<DST>{_valued('DST.new_observations_qty', str(stored))}</DST>", now)
        if awaited[:3] == "OBS":
            self.report.acknowledged += len(self._together())
            del self._results[: len(self._together())]
            self._faults.discard("two-patients")
        if awaited in {"KPA.R01", "REQ.R01"} or (awaited[:3] == "OBS" and not self._is_continuous):
            return self._next(now)
        self._at = now + (self._every_s if self._is_continuous and self._results else ANSWER_S)
        return b""

    def _together(self) -> list[int]:
        return self._results[: 2 if "two-patients" in self._faults else 1]

    def _next(self, now: float) -> bytes:
        """Send the next result, or say that there are no more."""
        if not self._results:
            if self._is_continuous:
                self._is_continuous, self._at = False, None
                return b""
            return self._say("EOT.R01", f"<EOT>{_valued('EOT.topic_cd', 'OBS')}</EOT>", now)
        if "wants-patients" in self._faults:
            self._faults.discard("wants-patients")
            return self._say("REQ.R01", f"<REQ>{_valued('REQ.request_cd', 'RPAT')}</REQ>", now)
        if "keep-alive" in self._faults and self._number not in self._sent:
            self._sent.add(self._number + 1)
            return self._say("KPA.R01", "", now)
        return self._result(now)

    def _result(self, now: float) -> bytes:
        at = self._results[0]
        is_control = "control" in self._faults and at == 0
        is_again = -1 - at in self._sent
        self._sent.add(-1 - at)
        body = "".join(
            service(self._style, self._seed, self._patients[one], one, is_control=is_control, is_again=is_again)
            for one in self._together()
        )
        self.report.frames += 1
        out = self._say("OBS.R02" if is_control else "OBS.R01", body, now)
        if "cut" in self._faults:
            self._faults.discard("cut")
            return out[: len(out) * 2 // 3]
        if "entity" in self._faults:
            self._faults.discard("entity")
            bomb = b'<!DOCTYPE OBS.R01 [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
            return bomb + out.replace(b'"op 7"', b'"&b;"')
        if "unclosed" in self._faults:
            self._faults.discard("unclosed")
            return out.replace(b"</RGT>", b"")
        return out

    # Messages

    def _ack(self, control_id: str) -> bytes:
        said = _valued("ACK.type_cd", "AA") + _valued("ACK.ack_control_id", control_id)
        return self._document("ACK.R01", f"<ACK>{said}</ACK>", 10_000 + self._number)

    def _say(self, kind: str, body: str, now: float) -> bytes:
        self._number += 1
        self._awaits, self._at = kind, now + ANSWER_S
        self.report.attempts += 1
        return self._document(kind, body, self._number)

    def _document(self, kind: str, body: str, number: int) -> bytes:
        own = _valued("HDR.message_type", kind) if self._style == "statstrip" else ""
        head = own + _valued("HDR.control_id", str(number)) + _valued("HDR.version_id", "POCT1")
        head += _valued("HDR.creation_dttm", time_of(100 + self._calls))
        text = f"<{kind}><HDR>{head}</HDR>{body}</{kind}>"
        if "declaration" in self._faults:
            text = '<?xml version="1.0" encoding="utf-8"?>\n' + text
        return b"\x0b" + text.encode() + b"\x1c\r" if self._style == "hemoscreen" else text.encode() + b"\n"
