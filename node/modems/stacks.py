"""Which makers' socket commands there are: by the `kind` of an address, or by what the modem says of itself."""

from collections.abc import Callable
from typing import Final

from node.modems.faults import NotAllowed
from node.modems.quectel import QuectelStack
from node.modems.quirks import Quirk
from node.modems.sim800 import Sim800Stack
from node.modems.simcom import SimcomStack
from node.modems.sockets import Stack, StackOf
from wire.errors import UsageError

STACKS: Final[dict[str, Callable[[], Stack]]] = {
    stack.kind: stack for stack in (Sim800Stack, SimcomStack, QuectelStack)
}


def stack_of(kind: str) -> StackOf:
    """Return what makes the stack of a modem: of this kind, or of the kind found for `auto`. Raises UsageError."""
    if kind != "auto" and kind not in STACKS:
        raise UsageError(f"modem: kind={kind!r} is unknown; want auto or one of {', '.join(sorted(STACKS))}")

    def make(quirk: Quirk) -> Stack:
        known = STACKS.get(quirk.kind if kind == "auto" else kind)
        if known is None:
            raise NotAllowed("no sockets are known for this modem", f"set kind= to one of {', '.join(sorted(STACKS))}")
        return known()

    return make


__all__ = ["STACKS", "stack_of"]
