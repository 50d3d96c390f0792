"""Every modem that owes the suite its promises: what drives it, what it is simulated by, and the knobs it must survive.

A new modem is in the suite by a row here. `sends` is False where the far end is no internet address (short bursts).
"""

from collections.abc import Callable
from dataclasses import dataclass

from hardware.simulated.modems.dialup import DialModem
from hardware.simulated.modems.exchange import Exchange, Manner
from hardware.simulated.modems.quectel import Bg96, Quectel
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from node.modems.call import PROFILES, CallPlan, DataCall
from node.modems.gsm import Plan
from node.modems.sockets import SocketModem
from node.modems.stacks import stack_of
from node.url import Url
from tests.node.modems.conformance.rig import HOST, PORT

PLAN = Plan(apn="internet")


@dataclass(frozen=True)
class Entry:
    """One modem. `make_sim(network, faults, seed)`, `make_driver(ears, hands)`."""

    name: str
    make_sim: Callable
    make_driver: Callable
    send: str
    """The command that sends, for the knobs that strike one."""
    connect: str
    is_stream: bool = False


def socket_driver(kind: str, scheme: str, plan: Plan = PLAN) -> Callable:
    def make(ears, hands):
        return SocketModem(ears, plan, hands, Url(scheme, HOST, PORT), stack_of(kind), "modem")

    return make


def socket_entries(name: str, sim: type, send: str, connect: str) -> list[Entry]:
    return [
        Entry(
            f"{name} {scheme}",
            sim,
            socket_driver("auto", scheme),
            send,
            connect,
            scheme == "tcp",
        )
        for scheme in ("udp", "tcp")
    ]


def call_entry(profile: str, make: str) -> Entry:
    """A data call to a server: the kit's half of RUDICS."""

    def sim(network, faults, seed):
        exchange = Exchange(Manner(rate_bps=9600, setup_s=1.0), network, seed)
        exchange.route("200", (HOST, PORT))
        return DialModem(exchange, "", faults, seed, make=make)

    def driver(ears, hands):
        hands.far.is_line = True
        call = CallPlan(PROFILES[profile], "200", PROFILES[profile].service, Plan(baud=115_200))
        return DataCall(ears, call, hands, "call")

    return Entry(f"call {profile}", sim, driver, "D", "D", True)


ENTRIES = [
    *socket_entries("sim800", Sim800, "CIPSEND", "CIPSTART"),
    *socket_entries("sim7600", Sim7600, "CIPSEND", "CIPOPEN"),
    *socket_entries("ec25", Quectel, "QISEND", "QIOPEN"),
    *socket_entries("bg96", Bg96, "QISEND", "QIOPEN"),
    call_entry("csd", "csd"),
    call_entry("pstn", "landline"),
    call_entry("rudics", "iridium"),
]
