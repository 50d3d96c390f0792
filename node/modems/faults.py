"""What goes wrong with a modem: one class for each kind, and the table of `+CME ERROR` numbers. Pure.

Each fault says by its `policy` what a script does about it, and by `advice` what a person can do. Numbers and meanings:
3GPP TS 27.007, section 9.2 (mobile equipment errors); the policy is ours.
"""

import enum
import re
from dataclasses import dataclass
from typing import ClassVar, Final

from wire.errors import DeviceError


class Policy(enum.Enum):
    """What to do after a fault."""

    RETRY = "retry"
    """The same command again, soon."""
    WAIT = "wait"
    """The same command again when the modem or the network has had time."""
    GIVE_UP = "give up"
    """Not this way: the ladder of recovery decides."""
    PERSON = "person"
    """No program can mend it."""


class AtFault(DeviceError):
    """Base of all faults here. Never raised itself."""

    policy: ClassVar[Policy] = Policy.GIVE_UP
    advice: str = ""


class NoAnswer(AtFault):
    """A command's deadline has passed: the modem hangs, or the line lost its answer."""


class Garbled(AtFault):
    """An answer came that cannot be the answer to this command."""

    policy = Policy.RETRY


class CommandFailed(AtFault):
    """`ERROR`, or another final result that means no."""


class CallFailed(AtFault):
    """`NO CARRIER`, `BUSY`, `NO ANSWER`, `NO DIALTONE`, or the end of a call."""

    policy = Policy.WAIT


class ModemReset(AtFault):
    """A start-up banner came unasked: the modem has forgotten everything."""

    policy = Policy.RETRY


class NetworkLost(AtFault):
    """The network took the connection, or will not give one."""

    policy = Policy.WAIT


class NotAllowed(AtFault):
    """The network refuses this SIM, or our own rules refuse this network."""

    policy = Policy.PERSON

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class Locked(NotAllowed):
    """The SIM is missing, locked or broken; nothing is tried any more until the modem is opened anew."""


@dataclass(frozen=True, slots=True)
class CmeMeaning:
    """One row of the table."""

    name: str
    policy: Policy
    advice: str = ""


_SIM: Final = "put a working SIM into the modem, then switch it off and on"
_PLAN: Final = "ask the operator whether the SIM is active and its plan has data"
_APN: Final = "check apn, user and password of this modem"

CME: Final[dict[int, CmeMeaning]] = {
    3: CmeMeaning("not allowed now", Policy.GIVE_UP),
    4: CmeMeaning("not supported by this modem", Policy.GIVE_UP),
    5: CmeMeaning("the SIM is bound to another device", Policy.PERSON, _SIM),
    10: CmeMeaning("no SIM", Policy.PERSON, _SIM),
    11: CmeMeaning("the SIM asks for its PIN", Policy.GIVE_UP),
    12: CmeMeaning("the SIM asks for its PUK", Policy.PERSON, "unlock the SIM in a telephone with its PUK"),
    13: CmeMeaning("the SIM fails", Policy.PERSON, _SIM),
    14: CmeMeaning("the SIM is busy", Policy.WAIT),
    15: CmeMeaning("this is no SIM of ours", Policy.PERSON, _SIM),
    16: CmeMeaning("wrong PIN", Policy.PERSON, "set the right SIM PIN in the configuration"),
    17: CmeMeaning("the SIM asks for PIN2", Policy.GIVE_UP),
    18: CmeMeaning("the SIM asks for PUK2", Policy.GIVE_UP),
    20: CmeMeaning("memory full", Policy.GIVE_UP),
    30: CmeMeaning("no network service", Policy.WAIT, "check the antenna and the coverage"),
    31: CmeMeaning("the network does not answer", Policy.WAIT),
    32: CmeMeaning("emergency calls only", Policy.WAIT, _PLAN),
    50: CmeMeaning("wrong parameters", Policy.GIVE_UP),
    100: CmeMeaning("unknown error", Policy.GIVE_UP),
    103: CmeMeaning("the network refuses this SIM", Policy.PERSON, _PLAN),
    106: CmeMeaning("the network refuses this modem", Policy.PERSON, "ask the operator whether the IMEI is barred"),
    107: CmeMeaning("data are barred for this SIM", Policy.PERSON, _PLAN),
    111: CmeMeaning("this network is barred", Policy.WAIT, _PLAN),
    112: CmeMeaning("this place is barred", Policy.WAIT, _PLAN),
    113: CmeMeaning("roaming is barred here", Policy.WAIT, _PLAN),
    132: CmeMeaning("the service is not supported", Policy.GIVE_UP, _APN),
    133: CmeMeaning("the plan has no such service", Policy.PERSON, _PLAN),
    134: CmeMeaning("the service is out of order for now", Policy.WAIT),
    148: CmeMeaning("packet data fail", Policy.WAIT),
    149: CmeMeaning("APN, user or password are refused", Policy.WAIT, _APN),
    150: CmeMeaning("the modem class is refused", Policy.GIVE_UP),
    515: CmeMeaning("the modem is still starting", Policy.WAIT),
}
_UNKNOWN: Final = CmeMeaning("error that has no name here", Policy.GIVE_UP)


class CmeError(AtFault):
    """`+CME ERROR: n`: a number with a name, a policy and an advice."""

    def __init__(self, command: str, number: int) -> None:
        self.number = number
        self.meaning = CME.get(number, _UNKNOWN)
        self.advice = self.meaning.advice
        super().__init__(f"{command}: {self.meaning.name} (+CME ERROR: {number})")

    @property
    def wants(self) -> Policy:
        """Return the policy of this number."""
        return self.meaning.policy


def policy_of(fault: AtFault) -> Policy:
    """Return what to do after `fault`."""
    return fault.wants if isinstance(fault, CmeError) else fault.policy


_CME: Final = re.compile(r"\+CM[ES] ERROR: ?(.{0,80})")
_TEXTS: Final = {
    "SIM NOT INSERTED": 10,
    "SIM PIN REQUIRED": 11,
    "SIM PUK REQUIRED": 12,
    "SIM FAILURE": 13,
    "SIM BUSY": 14,
    "SIM WRONG": 15,
    "INCORRECT PASSWORD": 16,
    "NO NETWORK SERVICE": 30,
    "OPERATION NOT ALLOWED": 3,
    "OPERATION NOT SUPPORTED": 4,
}
"""Until `AT+CMEE=1` is heard, a modem set up by somebody else may say it in words."""


def fault_of(command: str, final: str) -> AtFault | None:
    """Return the fault that a final result means, None when `final` is none of the common ones."""
    if final == "ERROR":
        return CommandFailed(f"{command}: ERROR")
    if final in ("NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE"):
        return CallFailed(f"{command}: {final}")
    match = _CME.match(final)
    if match is None:
        return None
    word = match[1].strip()
    number = _TEXTS.get(word.upper(), -1) if not word.isascii() or not word.isdigit() else int(word)
    if final.startswith("+CMS") or number < 0:
        return CommandFailed(f"{command}: {final}")
    return CmeError(command, number)
