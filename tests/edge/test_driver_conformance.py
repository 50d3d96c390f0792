"""What every driver owes the seam, whatever it is fed. A new driver is in here by being in the registry."""

import sys
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import registry
from edge.driver import Commit, Facts, Reserve
from tests.edge.bench import Bench
from wire.errors import ConfigError

OPTIONS = [
    ("andscale", {}),
    ("astm", {}),
    ("astm", {"encoding": "cp866"}),
    ("barcode", {"scheme": "mod97", "prefix": "P", "answer": "ack"}),
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
    ("suntech", {}),
    ("radex", {}),
    ("radpro", {}),
    ("tanita", {}),
    ("transfer", {}),
    ("transfer", {"protocol": "xmodem"}),
    ("tm2655", {}),
    ("tm2655", {"ask": "always", "envelope": True}),
]
HELD_SIZE_MAX = 2 << 20
"""What a driver may hold in all its fields, bytes, counted generously."""

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


def held(value, seen=None):
    """Return roughly how many bytes hang on an object."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type) or callable(value):
        return 0
    seen.add(id(value))
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    if isinstance(value, dict):
        return sum(held(one, seen) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
        return 8 * len(value) + sum(held(one, seen) for one in value)
    names = [*getattr(value, "__dict__", {}), *getattr(type(value), "__slots__", ())]
    return sum(held(getattr(value, name, None), seen) for name in names)


@pytest.mark.parametrize("name", registry.names())
def test_facts_are_declared(name):
    facts = registry.find(name).FACTS
    assert isinstance(facts, Facts)
    assert facts.name == name
    assert all((facts.version, facts.title, facts.manual, facts.form, facts.lines))
    registry.create(name, {option.name: option.default for option in facts.options})


@pytest.mark.parametrize("name", registry.names())
def test_a_wrong_option_is_named(name):
    facts = registry.find(name).FACTS
    with pytest.raises(ConfigError, match="'nonesuch' is unknown"):
        registry.create(name, {"nonesuch": 1})
    option = facts.options[0]
    with pytest.raises(ConfigError, match=f"option '{option.name}'"):
        registry.create(name, {option.name: ["list"]})


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


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_endless_bytes_stay_bounded(name, options):
    """A megabyte of what each protocol begins with, and never ends."""
    for endless in (b"\x05\x02" + b"1H|" + b"A" * 65_000, b"\xff" * 65_000, b"\x02" * 65_000, b"\x80\x01" * 32_500):
        bench = Bench(name, options)
        for _ in range(4):
            bench.feed(endless)
        assert held(bench.driver) < HELD_SIZE_MAX


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_while_the_disk_refuses_everything_memory_stays_bounded(name, options):
    bench = Bench(name, options, refuse=lambda number: True)
    for _ in range(300):
        bench.feed(b"\x01\x81\x01\x48\xcb" + b"\x01\x80\x01\x61\xe3" * 24 + b"some line\r\n\x02block\x03ab" * 40)
        bench.wait(1.1)
    assert held(bench.driver) < HELD_SIZE_MAX


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_an_answer_to_a_question_never_asked_is_ignored(name, options):
    driver = registry.create(name, options)
    assert driver.committed(99, 0.0) == []
    assert driver.refused(99, 0.0) == []
    assert driver.deadline() in {None, 0.0}, "a driver has nothing to do, or asks its device at once"


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_nothing_is_read_while_an_answer_is_awaited(name, options):
    driver = registry.create(name, options)
    questions = 0
    for _ in range(50):
        events = driver.feed(b"\x05line\r\n\x02block\x03ab\x01\x80\x01\x61\xe3", 0.0)
        questions += sum(isinstance(one, Commit | Reserve) and one.token is not None for one in events)
    assert questions <= 1


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
    [("import nonesuch_library\n", "cannot be imported: No module named"), ("FACTS = 1\n", "has no create")],
)
def test_a_third_partys_driver_that_cannot_be_used_is_named(monkeypatch, tmp_path, text, reason):
    installed(monkeypatch, tmp_path, text)
    with pytest.raises(ConfigError, match=f"driver 'thirdparty': .*{reason}"):
        registry.find("thirdparty")


def test_a_package_cannot_replace_a_driver_of_ours(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, "FACTS = create = None\n")
    point = EntryPoint("astm", "mydriver", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert registry.find("astm").FACTS.name == "astm"
