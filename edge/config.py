"""The kit's configuration: what is plugged in where. Every key is documented here and in `docs/configuration.md`.

```toml
codes = "clinic.toml"             # beside this file: the clinic's own codes and units, before the kit's

[[port]]
name = "analyser"                 # how the log, the panel and the studies call it
path = "/dev/serial/by-path/platform-…-port0"   # or tcp-listen://192.168.7.1:6661, tcp://192.168.7.30:4001
driver = "astm"                   # `feldsher kit devices` lists the drivers
bind = "scan"                     # whose study: "scan" (the label read before) or "device" (the device's own id only)
baud = 9600                       # left out: the driver's first line setting; "auto": it is found out (docs/devices.md)
parity = "N"                      # "N", "E" or "O"
data_bits = 8
stop_bits = 1
[port.options]                    # what the driver offers, for example encoding = "cp1251"

[limits]
study_bytes_max = 67108864        # a study that grows beyond is ended and a new one begun
study_room_bytes = 8388608        # free space that a new study must find; received ones are pruned to make it

[[way]]                           # how to reach a gateway; without any, at the addresses of the enrolment, at no cost
name = "gsm"
url = "modem:///dev/ttyUSB2?apn=internet&pin={pin}&to=udp://gw.example.org:7700"   # left out: the enrolment's addresses
gateway = "north"                 # whose key answers there; left out: the first of the enrolment
rank = 5                          # 1 (preferred) to 9; within one rank the cheapest first
carries = "all"                   # "all", "summaries" (and what has priority 1), "urgent"
object_size_max = 0               # larger ones do not go this way, bytes; 0: no bound
priority = [1, 9]                 # only these
quiet = ["22:00-06:00"]           # local hours in which only priority 1 goes
delay_min = 0                     # how long what was given to it takes to arrive, beside the rate; left out: by scheme
keep = true                       # open also when nothing waits; left out: where being open costs nothing
interface = "wwan0"               # an IP way, there while this interface is up: ModemManager or pppd own the call
up = "mmcli -m any --simple-connect=apn=internet"   # makes it so; split as a shell would, and run without one
down = "mmcli -m any --simple-disconnect"
[way.cost]                        # in policy.currency
per_mb = 0.05                     # 1,000,000 bytes, those of lower layers included
per_message = 0.0                 # each started 50 bytes of a message
per_minute = 0.0                  # each started minute of a connection
per_call = 0.0
[way.energy]
watts = 1.5                       # while it is open
joules_per_start = 40
[way.budget]                      # a day, from local midnight on; what is left out is not bounded
bytes = 20000000
money = 2.0
joules = 100000

[[inbox]]                         # files that appear in a folder or on a stick: `edge.inbox_config`
name = "stick"
path = "/media/usb"

[policy]
currency = "EUR"
zone = "Europe/Kyiv"              # for midnight and quiet hours
urgent = 2                        # this priority, and what is before it, does not wait for a cheaper way
patience_min = 60                 # how long everything else waits for the cheapest way that can take it
urgent_share = 0.2                # this part of each budget bulk leaves to summaries and what is urgent
secrets = "secrets.toml"          # {pin} in a url or a command is the value of `pin` there; mode 0600
[policy.budget]                   # all ways together, a day
money = 5.0

[label]                           # where `feldsher kit label` prints
path = "/dev/usb/lp0"             # or a serial line, or tcp://192.168.7.40:9100
language = "escpos"               # or "zpl"
baud = 9600                       # of a serial line
ask = true                        # how it is, before and after; false where the line has one direction only
scheme = "mod10"                  # check digit and prefix as in the options of the driver barcode
prefix = "P"
width = 384                       # dots across: 384 for 58 mm paper, 576 for 80 mm
encoding = "cp866"                # ESC/POS: character set of the text line
```

Keys of the kit and addresses of its gateways are not here: they are in the enrolment file, which is a secret.
"""

import re
import shlex
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from edge import coding, registry, speed, tcp_ports
from edge.day import parse_quiet
from edge.inbox_config import Inbox, check_inboxes
from node import config
from node.roads import check_calling
from node.secret import require_private
from node.url import ADDRESSED, parse_url
from wire.errors import ConfigError, UsageError

AUTO: Final = "auto"
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,32}$")]
Price = Annotated[float, Meta(ge=0, le=1e6)]
Minutes = Annotated[float, Meta(ge=0, le=1e5)]
PORTS_MAX: Final = 16
WAYS_MAX: Final = 8
QUIET_MAX: Final = 8
SECRET: Final = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
"""A place for a secret in a url or a command."""


class Port(Struct, forbid_unknown_fields=True, frozen=True):
    """One device on one line. `baud` 0: as the driver says; AUTO: as the device speaks."""

    name: Name
    path: str
    driver: str
    bind: Literal["scan", "device"] = "scan"
    baud: Annotated[int, Meta(ge=0, le=4_000_000)] | Literal["auto"] = 0
    parity: Literal["N", "E", "O"] = "N"
    data_bits: Literal[7, 8] = 8
    stop_bits: Literal[1, 2] = 1
    options: dict[str, str | int | float | bool] = {}


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """Bounds of the stores, bytes."""

    study_bytes_max: Annotated[int, Meta(ge=1 << 16)] = 64 << 20
    study_room_bytes: Annotated[int, Meta(ge=1 << 16)] = 8 << 20


class Cost(Struct, forbid_unknown_fields=True, frozen=True):
    """Prices, in the policy's currency."""

    per_mb: Price = 0.0
    per_message: Price = 0.0
    per_minute: Price = 0.0
    per_call: Price = 0.0


class Energy(Struct, forbid_unknown_fields=True, frozen=True):
    """What a way takes from the battery."""

    watts: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    joules_per_start: Annotated[float, Meta(ge=0, le=1e6)] = 0.0


class DayBudget(Struct, forbid_unknown_fields=True, frozen=True):
    """What may be spent a day; None: not bounded."""

    bytes: Annotated[int, Meta(ge=0, le=1 << 50)] | None = None
    money: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    joules: Annotated[float, Meta(ge=0, le=1e12)] | None = None


class Way(Struct, forbid_unknown_fields=True, frozen=True):
    """One way to a gateway."""

    name: Name
    url: str = ""
    gateway: str = ""
    rank: Annotated[int, Meta(ge=1, le=9)] = 5
    carries: Literal["all", "summaries", "urgent"] | None = None
    object_size_max: Annotated[int, Meta(ge=0)] | None = None
    priority: tuple[int, int] = (1, 9)
    quiet: list[str] = []
    delay_min: Minutes | None = None
    keep: bool | None = None
    interface: Annotated[str, Meta(pattern="^[!-.0-~]{0,15}$")] = ""
    up: str = ""
    down: str = ""
    cost: Cost = field(default_factory=Cost)
    energy: Energy = field(default_factory=Energy)
    budget: DayBudget = field(default_factory=DayBudget)


class Policy(Struct, forbid_unknown_fields=True, frozen=True):
    """What holds for all ways."""

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "EUR"
    zone: str = "UTC"
    urgent: Annotated[int, Meta(ge=0, le=9)] = 2
    patience_min: Minutes = 60.0
    urgent_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    secrets: str = ""
    budget: DayBudget = field(default_factory=DayBudget)


class LabelPrinter(Struct, forbid_unknown_fields=True, frozen=True):
    """Where `feldsher kit label` prints, and what stands on a label."""

    path: str = ""
    language: Literal["escpos", "zpl"] = "escpos"
    baud: Annotated[int, Meta(ge=1200, le=921_600)] = 9600
    ask: bool = True
    scheme: Literal["none", "mod10", "ean13", "mod97", "code39"] = "none"
    prefix: Annotated[str, Meta(pattern="^[ -~]{0,16}$")] = ""
    width: Annotated[int, Meta(ge=100, le=1024)] = 384
    encoding: Literal["cp866", "cp1251", "cp437", "cp852", "cp1252"] = "cp866"


class KitConfig(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file, and what its secrets are (`load` reads them from their own)."""

    port: list[Port] = []
    limits: Limits = field(default_factory=Limits)
    way: list[Way] = []
    inbox: list[Inbox] = []
    policy: Policy = field(default_factory=Policy)
    label: LabelPrinter = field(default_factory=LabelPrinter)
    codes: str = ""


def load(path: Path) -> KitConfig:
    """Read and check the file. Raises ConfigError that names file, key and reason."""
    kit = config.load(path, KitConfig)
    kit = replace(kit, codes=str(path.parent / kit.codes) if kit.codes else "")
    check(kit, str(path))
    _check_roads(kit, load_secrets(kit, path), str(path))
    return kit


def _check_roads(kit: KitConfig, secrets: Mapping[str, str], name: str) -> None:
    """What a road would refuse later, and for ever, is refused before the kit drives off."""
    for at, way in enumerate(kit.way):
        if way.url:
            try:
                check_calling(parse_url(filled(way.url, secrets)))
            except UsageError as error:
                raise ConfigError(f"{name}: way[{at}].url: {error}") from error


def load_secrets(kit: KitConfig, path: Path) -> dict[str, str]:
    """Return the secrets that `kit`, read from `path`, names. Raises ConfigError when one is missing or can be read."""
    wanted = {
        name: f"way[{at}].{key}"
        for at, way in enumerate(kit.way)
        for key, text in (("url", way.url), ("up", way.up), ("down", way.down))
        for name in SECRET.findall(text)
    }
    if not kit.policy.secrets:
        secrets: dict[str, str] = {}
    else:
        file = path.parent / kit.policy.secrets
        require_private(file)
        secrets = config.load(file, dict[str, str])
    for name, where in wanted.items():
        if name not in secrets:
            raise ConfigError(
                f"{path}: {where}: {{{name}}} is not in policy.secrets ({kit.policy.secrets or 'not set'})"
            )
    return secrets


def filled(text: str, secrets: Mapping[str, str]) -> str:
    """Return `text` with the secrets in their places."""
    return SECRET.sub(lambda match: secrets.get(match[1], match[0]), text)


def check(kit: KitConfig, name: str) -> None:
    """Check what types cannot say: known drivers with lawful options, no name and no line given twice, lawful ways."""
    if len(kit.port) > PORTS_MAX:
        raise ConfigError(f"{name}: port: {len(kit.port)} ports; at most {PORTS_MAX}")
    for at, port in enumerate(kit.port):
        for other in kit.port[:at]:
            if port.name == other.name:
                raise ConfigError(f"{name}: port[{at}].name: {port.name!r} is used twice")
            if port.path == other.path:
                raise ConfigError(f"{name}: port[{at}].path: {port.path!r} is used twice")
        try:
            registry.create(port.driver, port.options)
            if tcp_ports.is_tcp(port.path):
                tcp_ports.opener_of(port.path)
            if port.baud == AUTO:
                check_auto(port)
        except ConfigError as error:
            raise ConfigError(f"{name}: port[{at}] ({port.name}): {error}") from error
    check_inboxes(kit.inbox, name)
    coding.coder(kit.codes)
    _check_policy(kit, name)


def check_auto(port: Port) -> None:
    """Where the speed is to be found out, it must be possible. Raises ConfigError."""
    reason = speed.why_not(registry.signs(port.driver), registry.find(port.driver).FACTS.lines, port.driver)
    if tcp_ports.is_tcp(port.path):
        reason = "a TCP connection has no speed: leave baud out"
    elif (port.parity, port.data_bits, port.stop_bits) != ("N", 8, 1):
        reason = reason or "the driver's own settings are tried, parity and bits with them: leave those out"
    if reason:
        raise ConfigError(f'baud = "auto": {reason}')


def _check_policy(kit: KitConfig, name: str) -> None:
    if len(kit.way) > WAYS_MAX:
        raise ConfigError(f"{name}: way: {len(kit.way)} ways; at most {WAYS_MAX}")
    try:
        zoneinfo.ZoneInfo(kit.policy.zone)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{name}: policy.zone: no time zone {kit.policy.zone!r} here (Debian: tzdata)") from error
    paths = {port.path: port.name for port in kit.port}
    for at, way in enumerate(kit.way):
        for key, reason in _faults_of(way, kit.way[:at], paths):
            raise ConfigError(f"{name}: way[{at}].{key}: {reason}")


def _faults_of(way: Way, before: list[Way], ports: dict[str, str]) -> list[tuple[str, str]]:
    """Return (key, reason) of what is wrong with a way."""
    low, high = way.priority
    faults = [
        ("name", f"{way.name!r} is used twice", any(way.name == other.name for other in before)),
        ("priority", f"[{low}, {high}]: want two numbers from 1 to 9, the smaller first", not 1 <= low <= high <= 9),
        ("quiet", f"{len(way.quiet)} spans; at most {QUIET_MAX}", len(way.quiet) > QUIET_MAX),
        ("up", "needs `interface`: what it brings up", bool((way.up or way.down) and not way.interface)),
    ]
    found = [(key, reason) for key, reason, is_wrong in faults if is_wrong]
    for key, text in (("up", way.up), ("down", way.down)):
        found += _fault_of_command(key, text)
    for span in way.quiet:
        try:
            parse_quiet(span)
        except ValueError as error:
            found.append(("quiet", str(error)))
    return found + (_faults_of_url(way, before, ports) if way.url else [])


def _fault_of_command(key: str, text: str) -> list[tuple[str, str]]:
    try:
        shlex.split(text)
    except ValueError as error:
        return [(key, f"{text!r} cannot be split into words: {error}")]
    return []


def _faults_of_url(way: Way, before: list[Way], ports: dict[str, str]) -> list[tuple[str, str]]:
    try:
        url = parse_url(way.url)
    except UsageError as error:
        return [("url", str(error))]
    if url.host and url.scheme not in ADDRESSED:
        return [("url", f"{way.url!r}: a kit has a device there, {url.scheme}:///dev/…")]
    if way.interface and url.scheme not in ADDRESSED:
        return [("interface", f"is for udp:// and tcp://, not for {url.scheme}://")]
    if url.path and url.path in ports:
        return [("url", f"{url.path} is the line of port {ports[url.path]!r}")]
    for other in before:
        if url.path and other.url and parse_url(other.url).path == url.path:
            return [("url", f"{url.path} is used by way {other.name!r}, too")]
    return []
