"""The kit's ways as the daemon runs them: which road each one has, the loop around `Ways`, what `kit links` is told.

Without a `[[way]]` in the configuration there is none of this: the daemon calls the addresses of the enrolment. May
call all of `edge`.
"""

import asyncio
import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import config, interface, links
from edge.config import filled
from edge.interface import InterfaceRoad
from edge.kit import Kit
from edge.policy import may_carry
from edge.roads import UrlRoad, WaysShell
from edge.terms import Terms
from edge.ways import Ways
from node.clock import Clock
from node.disk import Disk
from node.modems.seam import Ears
from node.url import Url, parse_url
from wire.errors import ConfigError

if TYPE_CHECKING:
    from edge.sticks import StickRoad

log = logging.getLogger("feldsher")


def with_secrets(url: Url, secrets: Mapping[str, str]) -> Url:
    """Return the address with the secrets in the places that its options have for them."""
    return replace(url, options={name: filled(text, secrets) for name, text in url.options.items()})


class Linking:
    """See the module's text. `changed` is called after every step of the link."""

    def __init__(
        self, kit: Kit, secrets: Mapping[str, str], folder: Path, disk: Disk, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._kit, self._secrets, self._folder, self._clock = kit, secrets, folder, clock
        self._ways = {way.name: way for way in kit.config.way}
        self._shell = WaysShell(changed)
        self._roads: list[UrlRoad | InterfaceRoad | StickRoad] = []
        self.ways = self._shell.ways = Ways(kit, self._make_road, disk, clock)

    def tick(self) -> None:
        """Let time pass: there may be something new to send."""
        self._shell.tick()

    def reopen(self) -> None:
        """The kit's stores have been opened anew."""
        self._shell.step(lambda: self.ways.reopen(self._clock.now()))

    async def run(self) -> None:
        """Run until cancelled; then every modem hangs up, and its power key is let go."""
        interfaces = [road for road in self._roads if isinstance(road, InterfaceRoad)]
        watching = asyncio.ensure_future(interface.watch(interfaces)) if interfaces else None
        try:
            await self._shell.run()
        finally:
            if watching is not None:
                watching.cancel()
            await asyncio.gather(*(road.closed() for road in self._roads), return_exceptions=True)
            await self._shell.powers_settled()

    def status(self) -> dict[str, Any]:
        """Return what `kit links` shows."""
        return links.describe(self.ways, self._kit, self._clock.now())

    def way_of(self) -> dict[bytes, str]:
        """Return the way that each object takes, or waits for."""
        return {object_id: route.way for object_id, route in self.ways.plan.routes.items()}

    def _make_road(self, terms: Terms, ears: Ears) -> "UrlRoad | InterfaceRoad | StickRoad":
        way = self._ways[terms.name]
        road = self._stick(way, terms) if terms.is_carried else self._calling(way, ears)
        self._roads.append(road)
        return road

    def _calling(self, way: config.Way, ears: Ears) -> UrlRoad | InterfaceRoad:
        urls = [with_secrets(url, self._secrets) for url in self._addresses(way)]
        if not way.interface:
            return UrlRoad(self._shell, ears, urls, self._folder, self._clock)
        bound = [replace(url, options={**url.options, "interface": way.interface}) for url in urls]
        road = UrlRoad(self._shell, ears, bound, self._folder, self._clock)
        up, down = (self._words(text) for text in (way.up, way.down))
        return InterfaceRoad(road, way.interface, up, down, list(self._secrets.values()))

    def _stick(self, way: config.Way, terms: Terms) -> "StickRoad":
        from edge.sticks import StickRoad  # a kit without sticks is spared the code of parcels

        def carried(object_ids: Sequence[bytes]) -> None:
            self.ways.carried(object_ids, way.name, self._clock.now())

        rules = Ways.rules_of(self._kit.config)
        return StickRoad(
            self._kit, Path(parse_url(way.url).path), partial(may_carry, terms=terms, rules=rules), carried
        )

    def _addresses(self, way: config.Way) -> list[Url]:
        """Return where the way leads: to its own address, or to those of the enrolment."""
        contacts = {contact.name: contact for contact in self._kit.enrolment.gateways}
        if way.gateway and way.gateway not in contacts:
            known = ", ".join(sorted(contacts))
            raise ConfigError(f"way {way.name!r}: gateway {way.gateway!r} is not in the enrolment; there are: {known}")
        if way.url:
            return [parse_url(way.url)]
        contact = contacts[way.gateway] if way.gateway else self._kit.enrolment.gateways[0]
        return list(map(parse_url, contact.urls))

    def _words(self, text: str) -> list[str]:
        return [filled(word, self._secrets) for word in shlex.split(text)]
