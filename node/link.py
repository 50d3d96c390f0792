"""The two ends of a link, under one name: a `Caller` that begins and keeps trying, and a `Host` that serves many.

Both are synchronous objects, driven by a shell (`node/reactor.py`) or by a simulation. Nothing of them survives the
process, and nothing needs to: after a restart a new handshake is made, and the gap lists say what is still to come.
"""

from node.caller import CALLER_TRANSITIONS, Caller, CallerEvent, CallerState
from node.entropy import Entropy
from node.host import HALF_OPEN_MAX, Grant, Host
from node.progress import Progress
from node.tally import EVENT_KINDS, Event, Tally
from wire.noise import KeyPair

__all__ = [
    "CALLER_TRANSITIONS",
    "EVENT_KINDS",
    "HALF_OPEN_MAX",
    "Caller",
    "CallerEvent",
    "CallerState",
    "Entropy",
    "Event",
    "Grant",
    "Host",
    "KeyPair",
    "Progress",
    "Tally",
]
