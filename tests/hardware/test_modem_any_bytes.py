"""Whatever a host sends, and whatever knobs are turned, no simulated modem crashes, talks for ever or stays deaf."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.simulated.modems.air import Air, Shape
from hardware.simulated.modems.dialup import DialModem
from hardware.simulated.modems.exchange import Exchange, Manner
from hardware.simulated.modems.faults import Faults
from hardware.simulated.modems.ground import Ground
from hardware.simulated.modems.iridium9602 import Iridium9602
from hardware.simulated.modems.network import VirtualNetwork
from hardware.simulated.modems.quectel import Bg96, Quectel
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from tests.hardware.modem_bench import Bench, FarEnd
from wire.errors import UsageError

STEPS_PER_MODEM = 60
OUTPUT_MAX = 1_000_000


def cellular(cls):
    def make(faults, seed):
        network = VirtualNetwork()
        FarEnd(network)
        return cls(Air(network, Shape(9600.0, 0.3, 0.1), seed), faults, seed)

    return make


def satellite(faults, seed):
    return Iridium9602(Ground(VirtualNetwork(), ("192.0.2.1", 1), seed=seed), faults, seed)


def dialup(faults, seed):
    exchange = Exchange(Manner(drop_s=20.0, garble=0.01), seed=seed)
    modem = DialModem(exchange, "123", faults, seed)
    DialModem(exchange, "456", (), seed).tick(0.0)
    return modem


MAKERS = {
    "sim800": (cellular(Sim800), Sim800.KNOBS),
    "sim7600": (cellular(Sim7600), Sim7600.KNOBS),
    "quectel": (cellular(Quectel), Quectel.KNOBS),
    "bg96": (cellular(Bg96), Bg96.KNOBS),
    "iridium9602": (satellite, Iridium9602.KNOBS),
    "dialup": (dialup, DialModem.KNOBS),
}
EVERY_COMMAND = sorted({name for make, _ in MAKERS.values() for name in make((), 1).commands})
ARGUMENTS = st.sampled_from(
    """|?|=?|=0|=1|=2|=4|=1,1|="x"|=2,100|=2,0,100|=0,5|=0,0|=5|=-1|=,,|123|=1,1,1|=999999
    |="TCP","203.0.113.5",7000|=0,"TCP","203.0.113.5",7000|=1,0,"TCP","203.0.113.5",7000,0,0
    |=0,"UDP","203.0.113.5",7000|=1,0,"UDP","203.0.113.5",7000,0,1|=1,0,"TCP","203.0.113.5",7000,0,2""".replace(
        "\n    ", ""
    ).split("|")
)
PRELUDES = {
    "sim800": ("+CIPRXGET=1", '+CSTT="x"', "+CIICR", "+CIFSR", '+CIPSTART="TCP","203.0.113.5",7000'),
    "sim7600": ("+NETOPEN", "+CIPRXGET=1", '+CIPOPEN=0,"TCP","203.0.113.5",7000'),
    "quectel": ("+QIACT=1", '+QIOPEN=1,0,"TCP","203.0.113.5",7000,0,0'),
    "bg96": ("+QIACT=1", '+QIOPEN=1,0,"TCP","203.0.113.5",7000,0,2'),
    "iridium9602": ("+SBDWT=hello", "+CIER=1,1,1"),
    "dialup": ("+CR=1", "D456"),
}
"""Commands that bring a modem to where more can go wrong."""
COMMANDS = st.builds(lambda name, tail: f"AT{name}{tail}\r".encode(), st.sampled_from(EVERY_COMMAND), ARGUMENTS)
PIECES = st.one_of(
    COMMANDS,
    COMMANDS,
    COMMANDS,
    st.binary(max_size=60),
    st.sampled_from(
        [b"hello", b"+++", b"\x1a", b"\x1b", b"\r\n", b"A", b"AT" * 600, b"\xff" * 700, b"AT" + b"E0" * 60 + b"\r"]
    ),
)
WAITS = st.sampled_from([0.0, 0.01, 0.5, 1.1, 5.0, 30.0])
PLAN = st.lists(st.tuples(PIECES, WAITS), max_size=STEPS_PER_MODEM)


@st.composite
def courses(draw):
    kind = draw(st.sampled_from(sorted(MAKERS)))
    faults = draw(st.lists(st.sampled_from(sorted(MAKERS[kind][1])), max_size=4))
    whens = [draw(st.sampled_from(["", "@*", "@2", "@3+", "@30%"])) for _ in faults]
    arguments = [
        draw(st.sampled_from(["", "", "", "=0", "=1", "=1e9", "=-1", "=0:0", "=0.1:0.1", "=+CSQ:3"])) for _ in faults
    ]
    return kind, [good(kind, *parts) for parts in zip(faults, arguments, whens, strict=True)], draw(PLAN)


def good(kind, name, argument, when):
    """Return the knob as it is written; without its argument when that will not do."""
    try:
        Faults([name + argument + when], MAKERS[kind][1], None)
    except UsageError:
        return name + when
    return name + argument + when


def heard(kind, faults, plan, seed=1):
    bench = Bench(MAKERS[kind][0](faults, seed))
    out = bench.wait(15.0)
    for command in PRELUDES[kind] if len(plan) % 2 else ():
        out += bench.at("AT" + command, 4.0)
    for data, wait_s in plan:
        out += bench.say(data, wait_s)
    return bench, out


@given(courses())
@settings(max_examples=150, deadline=None)
def test_no_bytes_crash_it_or_make_it_talk_for_ever(course):
    kind, faults, plan = course
    bench, out = heard(kind, faults, plan)
    assert len(out) < OUTPUT_MAX
    bench.modem.rail.set(False)
    assert bench.wait(5.0) is not None
    assert bench.modem.deadline() is None or bench.modem.deadline() > bench.now


@given(courses())
@settings(max_examples=60, deadline=None)
def test_the_same_course_gives_the_same_bytes(course):
    kind, faults, plan = course
    assert heard(kind, faults, plan)[1] == heard(kind, faults, plan)[1]


@given(st.sampled_from(sorted(MAKERS)), PLAN)
@settings(max_examples=100, deadline=None)
def test_after_any_bytes_a_power_cut_brings_it_back(kind, plan):
    bench, _ = heard(kind, (), plan)
    answers = b""
    for _ in range(8):
        bench.modem.rail.set(False)
        bench.wait(3.0)
        bench.modem.rail.set(True)
        bench.wait(25.0)
        bench.say("\r")
        answers += bench.at("AT&FE0", 2.0)
    assert b"OK" in answers
