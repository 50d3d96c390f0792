"""The centre as one object: what the kernel, the web pages and the command line share.

Owns the data folder and how it is opened. May call: every store of `server`. Opening makes what is missing (keys,
database, folders) and brings the schema up to date, so that a first start, a start after a crash and a start after an
upgrade are one thing. Commands may open it beside the running centre: only the kernel, alone, sweeps what a crash left.

    DATA/keys.toml      the centre's secrets, 0600
    DATA/centre.db      SQLite, unless another database URL is given
    DATA/files/         study files by digest
    DATA/link/          the kernel's: what is not whole yet, and what waits for a gateway
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from argon2 import PasswordHasher

from node.clock import Clock, SystemClock
from node.disk import Disk, RealDisk
from node.entropy import system
from server import keys as key_file
from server.database import Database
from server.files import Files
from server.ingest import Ingest
from server.keys import Keys
from server.library import Library
from server.peers import Peers
from server.people import People
from server.restoring import Restorer
from server.worklists import Worklists
from wire.errors import ConfigError

DATABASE: Final = "centre.db"

Entropy = Callable[[int], bytes]


@dataclass(frozen=True)
class Centre:
    """Everything that the centre is made of."""

    database: Database
    disk: Disk
    files: Files
    keys: Keys
    peers: Peers
    people: People
    ingest: Ingest
    library: Library
    worklists: Worklists
    clock: Clock
    entropy: Entropy = field(repr=False)
    restorer: Restorer = field(default_factory=Restorer, repr=False)

    @classmethod
    def build(
        cls,
        disk: Disk,
        database: Database,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        hasher: PasswordHasher | None = None,
    ) -> Self:
        """Return a centre over the parts that are given: the real ones, or those of a simulated world."""
        database.migrate()
        files = Files(disk, entropy)
        peers = Peers(database, clock)
        people = People(database, clock, entropy, hasher)
        ingest = Ingest(database, files, keys, peers, clock)
        library = Library(files, keys, peers, database)
        worklists = Worklists(database, keys, peers, clock, entropy)
        return cls(database, disk, files, keys, peers, people, ingest, library, worklists, clock, entropy)

    @classmethod
    def open(cls, folder: Path, database_url: str = "") -> Self:
        """Open the centre whose data lie in `folder`; make it when there is none. Raises ConfigError, DiskError."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder}: no data folder can be here: {error.strerror}") from error
        keys = key_file.load_or_make(folder, system)
        if not database_url:
            (folder / DATABASE).touch(mode=0o600)
        database = Database(database_url or f"sqlite:///{folder / DATABASE}")
        return cls.build(RealDisk(folder), database, keys, SystemClock(), system)

    def close(self) -> None:
        """Let go of the database and the folder."""
        self.database.close()
        if isinstance(self.disk, RealDisk):
            self.disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
