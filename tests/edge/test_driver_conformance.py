"""What every driver owes the seam, whatever it is fed. A new driver is in here by being in the registry."""

import sys
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import registry
from edge.conformance import CHECKS, HELD_SIZE_MAX, check_acknowledges_late, check_any_bytes, held
from feldsher.main import main
from tests.edge.bench import Bench
from wire.errors import ConfigError, Misuse

OPTIONS = [
    ("andscale", {}),
    ("astm", {}),
    ("astm", {"encoding": "cp866"}),
    ("astm", {"frames": "bare"}),
    ("astm", {"orders": True, "frame_size": 64}),
    ("barcode", {"scheme": "mod97", "prefix": "P", "answer": "ack"}),
    ("barcode", {"badge": "1", "badge_scheme": "mod10"}),
    ("hbp9030", {}),
    ("contec", {"stored": "once"}),
    ("contec", {"generation": "old", "stored": "once"}),
    ("gmc", {}),
    ("gmc", {"protocol": "rfc1801", "history": "once", "every_s": 1.0}),
    ("hl7", {}),
    ("hl7", {"end": "silence", "encoding": "koi8-r"}),
    ("lines", {}),
    ("lines", {"mode": "blocks", "trailer": 2, "answer": "ack"}),
    ("lines", {"mode": "bursts"}),
    ("mtsics", {"of": "body"}),
    ("nmea", {}),
    ("abacus", {}),
    ("abacus", {"after_init": "D", "encoding": "cp866"}),
    ("bc2800", {}),
    ("kx21", {}),
    ("kx21", {"answer": "none"}),
    ("vesmatic", {}),
    ("nmea", {"gpsd": True}),
    ("nonin", {}),
    *(("nonin", {"format": one}) for one in ("1", "2", "7", "8", "13", "ascii")),
    ("poct1a", {}),
    ("poct1a", {"continuous": True, "ack": "control_id"}),
    ("printer", {}),
    ("printer", {"language": "escp", "encoding": "cp866"}),
    ("printer", {"language": "text", "answer": "none"}),
    ("suntech", {}),
    ("radex", {}),
    ("radpro", {}),
    ("tanita", {}),
    ("transfer", {}),
    ("transfer", {"protocol": "xmodem"}),
    ("transfer", {"protocol": "kermit"}),
    ("tm2655", {}),
    ("tm2655", {"ask": "always", "envelope": True}),
]
# Bytes that look like the protocols: frames, packets and labels among noise.
SHAPED = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\x05", b"\x04", b"\x02", b"\x03", b"\x17", b"\r\n", b"\r", b"]C0", b"12345674\r"]),
    st.sampled_from([b"\x021H|\\^&|||X\r\x03B1\r\n", b"\x022P|1||133\r\x03CE\r\n", b"\x025L|1|N\r\x0308\r\n"]),
    st.sampled_from(
        [b"\x16\x16\x0100\x02TM2655\x1e1\x1eRB\x1eE43\x1e\x03\x53", b"\x16\x16\x0100\x15", b"\x16\x16\x0100\x02"]
    ),
    st.sampled_from([b"\x3e\x05\x02\x01\xba", b"\x3e\x05\x00\x00\xbd", b"\x3e\x18s\x00J\x00" + bytes(17) + b"\xed"]),
    st.sampled_from([b"2026,08,01,09,00," + b" " * 20 + b",0,121,079,066,0\r\n", b"1,2,3,4,5,6,7\r"]),
    st.sampled_from([b"ST,GS,+  71.4kg\r\n", b"US,GS,+  60.1kg\r\n", b"OL,\r\n", b"S S   71.40 kg\r\n", b"S I\r\n"]),
    st.sampled_from(
        [b'<OBS.R01><HDR><HDR.control_id V="7"/></HDR><SVC><PT/></SVC></OBS.R01>', b"<OBS.R01>", b"</OBS.R01>"]
    ),
    st.sampled_from(
        [
            b"\x10\x04\x01",
            b"\x1dr\x01",
            b"\x1dv0\x00\x08\x00\x08\x00",
            b"\x1b*\x21\x10\x00",
            b"\x1bd\xff",
            b"\x1dVB\x00",
        ]
    ),
    st.sampled_from([b'{0,16,MO,"SC-240",Wk,71.4,CS,F5\r\n', b"{0,16,A,B,C,D,E"]),
    st.sampled_from(
        [
            bytes.fromhex("01e0849392bce3ffff") * 70,
            bytes.fromhex("0a80808108808080a4818080"),
            b"\x87\x10\x05\x42\x61" * 70,
        ]
    ),
    st.sampled_from([b"\x01\x81\x01\x00\x83", b"\x01\x80\x01\x61\xe3" * 25, b"\x80\x48\x61\x00" * 4]),
)
STEPS = st.lists(
    st.one_of(
        SHAPED.map(lambda data: ("feed", data)), st.floats(0, 200).map(lambda s: ("wait", s)), st.just(("lose",))
    ),
    max_size=30,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_what_every_package_checks_of_its_own_driver(name, options, check):
    check(name, options)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, refusals=st.sets(st.integers(0, 30)))
def test_any_bytes_raise_nothing_and_keep_the_seams_rules(name, options, steps, refusals):
    bench = Bench(name, options, refuse=refusals.__contains__)
    for step in steps:
        getattr(bench, step[0])(*step[1:])
    bench.wait(2_000)
    assert bench.open is None, "a study is open for ever"
    assert held(bench.driver) < HELD_SIZE_MAX


def test_an_unknown_driver_is_named_with_those_that_there_are():
    with pytest.raises(ConfigError, match=f"driver 'sysmex' is unknown; there are: {', '.join(registry.names())}"):
        registry.find("sysmex")


def installed(monkeypatch, tmp_path, text):
    """Pretend that a package brings the driver `thirdparty` in a module with this text."""
    (tmp_path / "mydriver.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mydriver", raising=False)
    point = EntryPoint("thirdparty", "mydriver", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])


def test_a_third_partys_driver_is_found_by_its_entry_point(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, "from edge.drivers.lines import FACTS, create\n")
    assert "thirdparty" in registry.names()
    assert registry.create("thirdparty").deadline() is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nonesuch_library\n", "cannot be imported: No module named"),
        ("FACTS = 1\n", "has no create"),
        ("def broken(:\n", "cannot be imported: SyntaxError: invalid syntax"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError"),
        ("FACTS = create = 5\n", "FACTS is an edge.driver.Facts"),
    ],
)
def test_a_third_partys_driver_that_cannot_be_used_is_named(monkeypatch, tmp_path, capsys, text, reason):
    installed(monkeypatch, tmp_path, text)
    with pytest.raises(ConfigError, match=f"driver 'thirdparty': .*{reason}"):
        registry.find("thirdparty")
    assert main(["kit", "devices"]) == 0
    told = capsys.readouterr().out
    assert "thirdparty" in told
    assert "CANNOT BE USED" in told
    assert "    vesmatic  " in told, "the others are listed all the same"


GOOD = """
from dataclasses import replace
from edge.drivers import barcode
from edge.driver import Commit, Send, StudyBegins, StudyEnds
FACTS = replace(barcode.FACTS, name="thirdparty")
create = barcode.create
class Mine:
    feed = tick = committed = refused = lambda self, *_: []
    def lost(self, now): return []
    def deadline(self): return None
"""
WRONG = {
    "FACTS.name is 'other'": "FACTS = replace(FACTS, name='other')",
    "version, title, manual, form and lines say something": "FACTS = replace(FACTS, manual='')",
    "option 'nonesuch' may not be 1": "create = lambda options: Mine()",
    "a study is not open for ever": "Mine.feed = lambda self, *_: "
    "self.__dict__.setdefault('once', [[StudyBegins('x')]]) and (self.once.pop() if self.once[-1:] else [])",
    "an entry belongs to a study": "Mine.feed = lambda self, data, now: [Commit(data or b'x')]",
    "an entry holds something": "Mine.feed = lambda self, data, now: [StudyBegins('x'), Commit(), StudyEnds()]",
    "a question to the disk is the last event": "Mine.feed = lambda self, data, now: "
    "[StudyBegins('x'), Commit(b'x', token=1), Send(b'6')]",
    "the driver holds": "Mine.feed = lambda self, data, now: "
    "self.__dict__.setdefault('all', []).append(data * 20) or []",
    "does nothing": "Mine.committed = lambda self, token, now: [Send(b'6')]",
    "the driver's deadline does not move on": "Mine.deadline = lambda self: 0.0",
    "questions are out at once": "Mine.feed = lambda self, data, now: [StudyBegins('x'), Commit(b'x', token=1)]",
}


def checked(text, monkeypatch, tmp_path):
    """Return what each check says of a driver with this text: "" when it is content."""
    installed(monkeypatch, tmp_path, text)
    said = {}
    for check in CHECKS:
        try:
            check("thirdparty", {})
            said[check] = ""
        except Misuse as error:
            said[check] = str(error)
    return said


def test_the_suite_is_content_with_a_good_driver_of_another_package(monkeypatch, tmp_path):
    assert not any(checked(GOOD, monkeypatch, tmp_path).values())


@pytest.mark.parametrize("rule", WRONG)
def test_the_suite_finds_a_driver_of_another_package_that_breaks_a_rule(monkeypatch, tmp_path, rule):
    mine = "" if rule.startswith(("FACTS", "version")) else "create = lambda options: Mine()\n"
    assert rule in " ".join(checked(f"{GOOD}\n{mine}{WRONG[rule]}\n", monkeypatch, tmp_path).values())


KX21 = b"\x02D1U" + b" " * 26 + b"0058 " * 15 + b"\x03"
ORU = b"\x0bMSH|^~\\&|A||||20260801||ORU^R01|1|P|2.3.1\rPID|1||5\rOBR|1\rOBX|1|NM|WBC||5\r\x1c\r"


@pytest.mark.parametrize(
    ("name", "options", "before", "message", "answer"),
    [
        ("astm", {}, b"\x05", b"\x021H|\\^&|||X\r\x03B1\r\n", b"\x06"),
        ("hl7", {}, b"", ORU, b"MSA|AA"),
        ("kx21", {}, b"", KX21, b"\x06"),
        ("lines", {"mode": "blocks", "answer": "ack"}, b"", b"\x02block\x03", b"\x06"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_acknowledged_is_durable(name, options, before, message, answer):
    check_acknowledges_late(name, options, message, answer, before)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ("[StudyBegins('x'), Send(b'6'), Commit(data), StudyEnds()]", "the disk refused it"),
        ("[Send(b'6')]", "has been committed"),
        ("[StudyBegins('x'), Commit(data), StudyEnds()]", "the driver sent b''"),
    ],
    ids=["at once", "and kept nothing", "never"],
)
def test_a_driver_of_another_package_that_acknowledges_wrongly_is_found(monkeypatch, tmp_path, answers, told):
    wrong = f"Mine.feed = lambda self, data, now: {answers} if data else []\ncreate = lambda options: Mine()\n"
    installed(monkeypatch, tmp_path, GOOD + wrong)
    with pytest.raises(Misuse, match=told):
        check_acknowledges_late("thirdparty", {}, b"message", b"6")


def test_a_drivers_own_message_comes_damaged_too(monkeypatch, tmp_path):
    fragile = "Mine.feed = lambda self, data, now: [] if data.isascii() else 1 / 0\ncreate = lambda options: Mine()\n"
    installed(monkeypatch, tmp_path, GOOD + fragile)
    with pytest.raises(ZeroDivisionError):
        check_any_bytes("thirdparty", {}, [b"", b"an ASCII message" * 4])


def test_a_package_cannot_replace_a_driver_of_ours(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, "FACTS = create = None\n")
    point = EntryPoint("astm", "mydriver", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert registry.find("astm").FACTS.name == "astm"
