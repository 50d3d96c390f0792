"""The kit's configuration: what is plugged in where. Every key is documented here and in `docs/configuration.md`.

```toml
[[port]]
name = "analyser"                 # how the log, the panel and the studies call it
path = "/dev/serial/by-path/platform-…-port0"
driver = "astm"                   # `feldsher kit devices` lists the drivers
bind = "scan"                     # whose study: "scan" (the label read before) or "device" (the device's own id only)
baud = 9600                       # left out: the driver's first line setting
parity = "N"                      # "N", "E" or "O"
data_bits = 8
stop_bits = 1
[port.options]                    # what the driver offers, for example encoding = "cp1251"

[limits]
study_bytes_max = 67108864        # a study that grows beyond is ended and a new one begun
study_room_bytes = 8388608        # free space that a new study must find; received ones are pruned to make it

```

Keys of the kit and addresses of its gateways are not here: they are in the enrolment file, which is a secret.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from edge import registry
from node import config
from wire.errors import ConfigError

Name = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,32}$")]
PORTS_MAX: Final = 16


class Port(Struct, forbid_unknown_fields=True, frozen=True):
    """One device on one line. `baud` 0: as the driver says."""

    name: Name
    path: str
    driver: str
    bind: Literal["scan", "device"] = "scan"
    baud: Annotated[int, Meta(ge=0, le=4_000_000)] = 0
    parity: Literal["N", "E", "O"] = "N"
    data_bits: Literal[7, 8] = 8
    stop_bits: Literal[1, 2] = 1
    options: dict[str, str | int | float | bool] = {}


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """Bounds of the stores, bytes."""

    study_bytes_max: Annotated[int, Meta(ge=1 << 16)] = 64 << 20
    study_room_bytes: Annotated[int, Meta(ge=1 << 16)] = 8 << 20


class KitConfig(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    port: list[Port] = []
    limits: Limits = field(default_factory=Limits)


def load(path: Path) -> KitConfig:
    """Read and check the file. Raises ConfigError that names file, key and reason."""
    kit = config.load(path, KitConfig)
    check(kit, str(path))
    return kit


def check(kit: KitConfig, name: str) -> None:
    """Check what types cannot say: known drivers with lawful options, no name and no line given twice."""
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
        except ConfigError as error:
            raise ConfigError(f"{name}: port[{at}] ({port.name}): {error}") from error
