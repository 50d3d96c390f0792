"""ASTM without frame numbers and checksums: each control answered, everything once, and never guessed."""

import pytest

from hardware.simulated.bare_analyser import FAULTS, BareAnalyser, message
from hardware.simulated.scanner import patient_label
from tests.edge.bench import Bench
from tests.edge.test_astm import ACK, ENQ, EOT, NAK, frame
from tests.edge.virtual import BenchHost, Wire
from wire.errors import ConfigError

STX, ETX = b"\x02", b"\x03"
BARE = {"frames": "bare"}


@pytest.mark.parametrize("fault", [None, *FAULTS])
@pytest.mark.parametrize("piece", [1, 4096])
def test_every_result_arrives_once_whatever_happens_on_the_way(fault, piece):
    device = BareAnalyser(3, 3, 5.0, [fault] if fault else [])
    bench = Bench("astm", BARE)
    Wire(device, BenchHost(bench), piece=piece).run(until=2_000)
    bench.wait(400)
    assert device.report.is_good
    assert [study.ends.patient_ids for study in bench.studies] == [(patient_label(3, at),) for at in range(3)]
    assert [study.ends.partial for study in bench.studies] == [""] * 3
    assert [one.name for study in bench.studies for one in study.observations] == ["TSH II", "FT4 II", "FT3"]


def test_each_control_is_answered_and_the_records_only_after_their_commit():
    bench = Bench("astm", BARE, refuse=lambda number: number == 1)
    assert bench.feed(ENQ) == ACK
    assert bench.feed(STX) == ACK
    assert bench.feed(message(3, 0)) == b""
    assert bench.feed(ETX) == NAK
    assert bench.studies == []
    assert bench.feed(STX) == ACK
    assert bench.feed(message(3, 0) + ETX) == ACK
    assert bench.feed(EOT) == ACK
    (study,) = bench.studies
    assert study.raw.count(message(3, 0)) == 1


def test_a_message_that_ends_before_its_last_record_is_not_acknowledged_and_kept_as_partial():
    bench = Bench("astm", BARE)
    bench.feed(ENQ + STX + b"H|\\^&|||X\rP|1|7\r" + ETX)
    assert bench.feed(EOT) == b""
    bench.wait(400)
    (study,) = bench.studies
    assert study.ends.partial
    assert study.ends.patient_ids == ("7",)


def test_a_text_without_end_is_refused_and_bounded():
    bench = Bench("astm", BARE)
    bench.feed(ENQ + STX + b"H|" + b"x" * 70_000)
    assert bench.sent.endswith(NAK)
    bench.wait(400)
    assert len(bench.studies[0].raw) <= 70_100


def test_the_standards_frames_are_refused_here_and_bare_ones_there():
    """Neither is taken for the other: what has no checksum is believed only where somebody said so."""
    numbered = frame(1, b"H|\\^&|||X\rL|1|N\r")
    bench = Bench("astm", BARE)
    assert bench.feed(ENQ + numbered) == ACK * 2 + NAK
    bench.wait(400)
    assert bench.studies[0].ends.partial
    assert numbered in bench.studies[0].raw
    bench = Bench("astm")
    bench.feed(ENQ + STX + message(3, 0) + ETX + EOT)
    bench.wait(400)
    assert ACK not in bench.sent[1:]
    assert [study.observations for study in bench.studies if not study.ends.partial] == []


def test_orders_are_not_for_bare_frames():
    with pytest.raises(ConfigError, match="orders"):
        Bench("astm", BARE | {"orders": True})


def test_the_end_of_a_message_is_not_acknowledged_while_its_text_is_not_kept():
    """ETX got lost on the line: neither this EOT nor the next may be answered, or the analyser forgets the text."""
    bench = Bench("astm", BARE)
    bench.feed(ENQ + STX + message(3, 0))
    assert bench.feed(EOT) == b""
    assert bench.feed(EOT) == b""
    bench.wait(400)
    (study,) = bench.studies
    assert study.ends.partial
    assert message(3, 0) in study.raw


def test_the_end_that_is_said_again_is_not_acknowledged_when_the_disk_refused_the_text():
    bench = Bench("astm", BARE, refuse=lambda number: number == 1)
    bench.feed(ENQ + STX + message(3, 0) + ETX)
    assert bench.feed(EOT) == b""
    assert bench.feed(EOT) == b""


def test_the_end_that_is_said_again_after_all_was_kept_is_answered():
    bench = Bench("astm", BARE)
    bench.feed(ENQ + STX + message(3, 0) + ETX)
    assert (bench.feed(EOT), bench.feed(EOT)) == (ACK, ACK)
    assert len(bench.studies) == 1
