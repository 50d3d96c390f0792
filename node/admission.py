"""Which objects may go over which bearer, when nobody says otherwise.

A kit's policy (`edge/policy.py`) brings its own predicate; this one keeps a link without any from spending money on
bulk: over a bearer whose frames are billed messages go only what is small and of the kinds that are urgent. It is
asked anew at each bearer and each nudge, so it may look at budgets and hours. Pure; nothing survives.
"""

from collections.abc import Callable
from typing import Final

from node.seams import Bearer
from wire import objects
from wire.objects import Offer

MESSAGE_KINDS: Final = frozenset({objects.SUMMARY, objects.COMMAND})
MESSAGE_OBJECT_SIZE_MAX: Final = 2048
"""About seven SBD messages, or forty credits."""

Admits = Callable[[Offer, Bearer], bool]
"""Whether the object may be offered and sent over the bearer now. Must be quick: asked for each waiting object."""


def admits_usually(offer: Offer, bearer: Bearer) -> bool:
    """Everything may go over any bearer, but over messages only what is small, urgent, and not there yet."""
    if not bearer.is_message:
        return True
    return offer.kind in MESSAGE_KINDS and offer.size <= MESSAGE_OBJECT_SIZE_MAX and not offer.again
