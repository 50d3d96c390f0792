"""Which diagnostic devices `feldsher simulate device` can be, their faults, and how the arguments make one.

A device is one row of `KINDS`. `start` numbers its first message, so that `--repeat` goes on with others.
"""

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from hardware.simulated import (
    abacus,
    analyser,
    asking_analyser,
    bare_analyser,
    bc2800,
    contec,
    gmc,
    gps,
    hbp9030,
    kx21,
    label_printer,
    oximeter,
    poct1a,
    printing_device,
    radex,
    radpro,
    scales,
    scanner,
    suntech,
    tm2655,
    vesmatic,
)
from hardware.simulated.device import Device
from hardware.simulated.file_sender import FAULTS as FILE_FAULTS
from hardware.simulated.file_sender import PROTOCOLS, FileSender
from hardware.simulated.hl7_results import STYLES as HL7_STYLES
from hardware.simulated.hl7_results import message as hl7_message
from hardware.simulated.hl7_sender import FAULTS as HL7_FAULTS
from hardware.simulated.hl7_sender import Hl7Sender
from hardware.simulated.results import STYLES, message
from hardware.simulated.scp_ecg import FAULTS as ECG_FAULTS
from hardware.simulated.scp_ecg import record
from wire.errors import UsageError

READINGS_COUNT: Final = 12
SENDERS: Final = ("abacus", "analyser", "bc2800", "ecg", "hl7", "kx21", "poct1a", "scanner", "vesmatic")
RESTING: Final = frozenset((*SENDERS, *(f"printer-{style}" for style in printing_device.STYLES)))
"""Those that say a message and then nothing: with --repeat they rest between two rounds. Others are there always."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of device. `make` may raise UsageError."""

    faults: Mapping[str, str]
    make: Callable[[Namespace, int], Device]


Said = TypeVar("Said")


def _messages(tell: Callable[..., Said], styles: Sequence[str], args: Namespace, start: int) -> list[Said]:
    """Return what a device in one of `styles` has to say; without --style in the first."""
    style = args.style or styles[0]
    if style not in styles:
        raise UsageError(f"--style {style}: the {args.device} knows: {', '.join(styles)}")
    try:
        return [
            tell(
                style, args.seed, _patient(args, at), at=at, encoding=args.encoding, is_control=args.control and at == 0
            )
            for at in range(start, start + args.count)
        ]
    except LookupError as error:
        raise UsageError(f"--encoding {args.encoding}: {error}") from error


def _analyser(args: Namespace, start: int) -> Device:
    if args.ask:
        samples = [args.ask[at % len(args.ask)] for at in range(start, start + max(args.count, len(args.ask)))]
        faults = [one for one in args.fault if one in asking_analyser.FAULTS]
        if len(faults) < len(args.fault):
            raise UsageError(f"--ask knows the faults: {', '.join(asking_analyser.FAULTS)}")
        return asking_analyser.AskingAnalyser(samples, faults, args.every, args.seed)
    if one := next((one for one in args.fault if one in asking_analyser.FAULTS), ""):
        raise UsageError(f"--fault {one}: only of an analyser that asks (--ask SAMPLE)")
    said = _messages(message, STYLES, args, start)
    if "frame-numbers" in args.fault and max(map(len, said)) < 2:
        raise UsageError("--fault frame-numbers: a message in this manner is one frame; add --style c111 or blocks")
    return analyser.Analyser(said, args.fault, args.every)


def _hl7(args: Namespace, start: int) -> Device:
    return Hl7Sender(_messages(hl7_message, HL7_STYLES, args, start), args.fault, args.every)


def _ecg(args: Namespace, start: int) -> Device:
    def file_of(_style: str, seed: int, patient: str, *, at: int, **_: object) -> tuple[str, bytes]:
        faults = ECG_FAULTS.keys() & set(args.fault) if at == start else ()
        return f"{at:08d}.SCP", record(seed, patient, at, faults=faults)

    protocol = args.style or PROTOCOLS[0]
    for fault, of in (("by-sum", ("xmodem", "kermit")), ("seven-bit", ("kermit",))):
        if fault in args.fault and protocol not in of:
            raise UsageError(f"--fault {fault}: not by {protocol}; add --style {' or '.join(of)}")
    return FileSender(_messages(file_of, PROTOCOLS, args, start), protocol, args.fault, args.every)


def _oximeter(args: Namespace, start: int) -> Device:
    return oximeter.Oximeter(args.seed + start, args.count, args.finger, args.format, args.fault)


def _scanner(args: Namespace, start: int) -> Device:
    ids = [_patient(args, at) for at in range(start, start + args.count)]
    return scanner.Scanner(ids, args.every, args.fault, waits=args.answer)


class _Made(Protocol):
    def __call__(self, seed: int, count: int, every_s: float, faults: Iterable[str]) -> Device: ...


def _monitor(make: _Made, args: Namespace, start: int) -> Device:
    """Return a device that invents `count` measurements from a seed."""
    return make(args.seed + start, args.count, args.every, args.fault)


def _hbp9030(args: Namespace, start: int) -> Device:
    ids = [_patient(args, at) for at in range(start, start + args.count)]
    return hbp9030.Hbp9030(args.seed + start, ids, args.every, args.fault)


def _printing(style: str) -> Kind:
    def make(args: Namespace, start: int) -> Device:
        ids = [_patient(args, at) for at in range(start, start + args.count)]
        return printing_device.PrintingDevice(style, args.seed + start, ids, args.every, args.fault)

    return Kind(printing_device.FAULTS_OF[style], make)


def _poct1a(args: Namespace, start: int) -> Device:
    style = args.style or poct1a.STYLES[0]
    if style not in poct1a.STYLES:
        raise UsageError(f"--style {style}: the poct1a knows: {', '.join(poct1a.STYLES)}")
    ids = [_patient(args, at) for at in range(start, start + args.count)]
    return poct1a.Poct1aDevice(style, args.seed + start, ids, args.every, args.fault)


def _contec(args: Namespace, start: int) -> Device:
    return contec.Contec(args.seed + start, args.count, args.finger, args.fault)


def _meter(make: _Made, args: Namespace, start: int) -> Device:
    """Return a device that is read all the time: `READINGS_COUNT` readings, or seconds, for each of `count`."""
    return make(args.seed + start, args.count * READINGS_COUNT, args.every, args.fault)


def _patient(args: Namespace, at: int) -> str:
    ids: list[str] = args.patient
    return ids[at % len(ids)] if ids else scanner.patient_label(args.seed, at)


KINDS: Final[Mapping[str, Kind]] = {
    "analyser": Kind({**analyser.FAULTS, **asking_analyser.FAULTS}, _analyser),
    "andscale": Kind(scales.AND_FAULTS, lambda args, start: _monitor(scales.AndScale, args, start)),
    "hbp9030": Kind(hbp9030.FAULTS, _hbp9030),
    "contec": Kind(contec.FAULTS, _contec),
    "ecg": Kind({**FILE_FAULTS, **ECG_FAULTS}, _ecg),
    "gmc": Kind(gmc.FAULTS, lambda args, start: _meter(gmc.Gmc, args, start)),
    "hl7": Kind(HL7_FAULTS, _hl7),
    "mtsics": Kind(scales.MTSICS_FAULTS, lambda args, start: _monitor(scales.MtSics, args, start)),
    "gps": Kind(gps.FAULTS, lambda args, start: _meter(gps.Gps, args, start)),
    "abacus": Kind(abacus.FAULTS, lambda args, start: _monitor(abacus.Abacus, args, start)),
    "bare-analyser": Kind(bare_analyser.FAULTS, lambda args, start: _monitor(bare_analyser.BareAnalyser, args, start)),
    "bc2800": Kind(bc2800.FAULTS, lambda args, start: _monitor(bc2800.Bc2800, args, start)),
    "kx21": Kind(kx21.FAULTS, lambda args, start: _monitor(kx21.Kx21, args, start)),
    "label-printer": Kind(label_printer.FAULTS, lambda args, start: label_printer.LabelPrinter(args.count, args.fault)),
    "vesmatic": Kind(vesmatic.FAULTS, lambda args, start: _monitor(vesmatic.VesMatic, args, start)),
    "oximeter": Kind(oximeter.FAULTS, _oximeter),
    "poct1a": Kind(poct1a.FAULTS, _poct1a),
    **{f"printer-{style}": _printing(style) for style in printing_device.STYLES},
    "radpro": Kind(radpro.FAULTS, lambda args, start: _meter(radpro.RadPro, args, start)),
    "radex": Kind(radex.FAULTS, lambda args, start: _meter(radex.Radex, args, start)),
    "scanner": Kind(scanner.FAULTS, _scanner),
    "suntech": Kind(suntech.FAULTS, lambda args, start: _monitor(suntech.Suntech, args, start)),
    "tanita": Kind(scales.TANITA_FAULTS, lambda args, start: _monitor(scales.Tanita, args, start)),
    "tm2655": Kind(tm2655.FAULTS, lambda args, start: _monitor(tm2655.Tm2655, args, start)),
}
