"""Who may look: users with a role, their passwords, and the sessions of those who are logged in.

Owns the tables `users` and `sessions`. May call: `server.database`, argon2. A session is a random token that only the
browser has; the database holds its hash, so that a copy of the database opens no session. Sessions survive a restart.
Every login, refusal and change is written to the record of events; failed logins are counted there, so that the brake
on guessing survives a restart too.
"""

import hashlib
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from node.clock import Clock
from server import tables as t
from server.database import Database, Event, record
from server.peers import NAME
from wire.errors import AuthError, UsageError

DOCTOR: Final = "doctor"
ADMIN: Final = "admin"
ROLES: Final = (DOCTOR, ADMIN)
PASSWORD_SIZE_MIN: Final = 10
PASSWORD_SIZE_MAX: Final = 256
IDLE_MS_MAX: Final = 60 * 60_000
"""A session that nobody used for so long is over."""
SESSION_MS_MAX: Final = 12 * 3_600_000
"""A session is over after so long, used or not."""
SEEN_STEP_MS: Final = 60_000
"""The time of last use is written this often at most."""
SESSIONS_MAX: Final = 20
"""Of one user; the oldest ends when one more begins."""
FAILURE_WINDOW_MS: Final = 15 * 60_000
FAILURES_OF_NAME_AND_ADDRESS_MAX: Final = 5
FAILURES_OF_ADDRESS_MAX: Final = 20
FAILURES_OF_NAME_MAX: Final = 50
HASHES_AT_ONCE: Final = 2
"""Each takes 64 MiB for a tenth of a second."""
LOGIN, LOGIN_FAILED, LOGOUT = "login", "login failed", "logout"

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class User:
    """A person who may log in. `zone` is the time zone in which times are shown to them."""

    number: int
    name: str
    role: str
    zone: str
    created_ms: int
    disabled_ms: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in. `csrf` must come with every change that they ask for."""

    number: int
    user: User
    csrf: str = field(repr=False)


class Throttled(AuthError):
    """Too many failed logins: the next try counts only after `FAILURE_WINDOW_MS`."""


class People:
    """Users and sessions in the database."""

    def __init__(
        self, database: Database, clock: Clock, entropy: Entropy, hasher: PasswordHasher | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._hasher = hasher or PasswordHasher()
        self._hashing = threading.Semaphore(HASHES_AT_ONCE)
        self._nobody = self._hasher.hash(entropy(16).hex())

    def add(self, name: str, password: str, role: str = DOCTOR, zone: str = "UTC", actor: str = "") -> User:
        """Make a user. Raises UsageError when the name is taken, or the password, role or zone will not do."""
        if not NAME.fullmatch(name):
            raise UsageError(f"not a name: {name[:80]!r}: letters, digits, '.', '_' and '-', at most 64")
        if role not in ROLES:
            raise UsageError(f"no role {role[:80]!r}: {' or '.join(ROLES)}")
        now_ms = self._clock.time_ms()
        row = {"role": role, "zone": checked_zone(zone), "password_hash": self._hash(password), "created_ms": now_ms}
        try:
            with self._database.write() as connection:
                connection.execute(insert(t.users).values(name=name, **row))
                record(connection, now_ms, Event("user add", actor, detail=f"{name} {role}"))
        except IntegrityError as error:
            raise UsageError(f"a user {name} exists already") from error
        return self.user(name)

    def users(self) -> list[User]:
        """Return every user by name, disabled ones too."""
        with self._database.read() as connection:
            return [_user(row) for row in connection.execute(select(t.users).order_by(t.users.c.name))]

    def user(self, name: str) -> User:
        """Return the user called `name`. Raises UsageError when there is none."""
        with self._database.read() as connection:
            return _user(_named(connection, name))

    def set_password(self, name: str, password: str, actor: str = "") -> None:
        """Give `name` a new password and end their sessions."""
        self._change(name, {"password_hash": self._hash(password)}, Event("user passwd", actor, detail=name))

    def disable(self, name: str, actor: str = "") -> None:
        """Let `name` in no longer and end their sessions."""
        self._change(name, {"disabled_ms": self._clock.time_ms()}, Event("user disable", actor, detail=name))

    def set_zone(self, name: str, zone: str) -> None:
        """Show times to `name` in `zone` (a name of the IANA time zone database)."""
        with self._database.write() as connection:
            _named(connection, name)
            connection.execute(update(t.users).where(t.users.c.name == name).values(zone=checked_zone(zone)))

    def log_in(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """Return a new session and its token. Raises AuthError, the same for a wrong name and a wrong password."""
        name = name[:64]
        with self._database.read() as connection:
            self._check_brake(connection, name, address)
            row = connection.execute(select(t.users).where(t.users.c.name == name)).one_or_none()
        holds = self._holds(self._nobody if row is None else row.password_hash, password)
        if row is None or not holds or row.disabled_ms is not None:
            self._record(Event(LOGIN_FAILED, name, address=address))
            raise AuthError("the name or the password is wrong")
        return self._begin(row, address)

    def session(self, token: str) -> Session | None:
        """Return the session of `token`, or None when there is none, it has ended, or its user was disabled."""
        now_ms = self._clock.time_ms()
        s = t.sessions
        found = (
            select(s.c.id, s.c.csrf, s.c.created_ms, s.c.seen_ms, t.users.c.name)
            .join(t.users, t.users.c.id == s.c.user_id)
            .where(s.c.token_hash == _token_hash(token), t.users.c.disabled_ms.is_(None))
        )
        with self._database.read() as connection:
            row = connection.execute(found).one_or_none()
            if row is None or now_ms - row.seen_ms > IDLE_MS_MAX or now_ms - row.created_ms > SESSION_MS_MAX:
                return None
            user = _user(_named(connection, row.name))
        if now_ms - row.seen_ms > SEEN_STEP_MS:
            with self._database.write() as connection:
                connection.execute(update(s).where(s.c.id == row.id).values(seen_ms=now_ms))
        return Session(row.id, user, row.csrf)

    def log_out(self, session: Session, address: str = "") -> None:
        """End the session."""
        with self._database.write() as connection:
            connection.execute(delete(t.sessions).where(t.sessions.c.id == session.number))
            record(connection, self._clock.time_ms(), Event(LOGOUT, session.user.name, address=address))

    def _begin(self, user: Row[Any], address: str) -> tuple[str, Session]:
        token, csrf, now_ms = self._entropy(32).hex(), self._entropy(16).hex(), self._clock.time_ms()
        s = t.sessions
        with self._database.write() as connection:
            old = select(s.c.id).where(s.c.user_id == user.id).order_by(s.c.id.desc()).offset(SESSIONS_MAX - 1)
            over = [row.id for row in connection.execute(old)]
            connection.execute(delete(s).where(s.c.id.in_(over) | (s.c.created_ms < now_ms - SESSION_MS_MAX)))
            row = {"token_hash": _token_hash(token), "csrf": csrf, "created_ms": now_ms, "seen_ms": now_ms}
            number = connection.execute(insert(s).values(user_id=user.id, **row)).inserted_primary_key
            record(connection, now_ms, Event(LOGIN, user.name, address=address))
        return token, Session(number[0] if number else 0, _user(user), csrf)

    def _check_brake(self, connection: Connection, name: str, address: str) -> None:
        e = t.events.c
        recent = (e.kind == LOGIN_FAILED) & (e.time_ms > self._clock.time_ms() - FAILURE_WINDOW_MS)
        for who, limit in (
            ((e.actor == name) & (e.address == address), FAILURES_OF_NAME_AND_ADDRESS_MAX),
            (e.address == address, FAILURES_OF_ADDRESS_MAX),
            (e.actor == name, FAILURES_OF_NAME_MAX),
        ):
            count = connection.execute(select(func.count()).select_from(t.events).where(recent & who)).scalar_one()
            if count >= limit:
                raise Throttled(f"too many failed logins: try again in {FAILURE_WINDOW_MS // 60_000} minutes")

    def _change(self, name: str, values: dict[str, Any], event: Event) -> None:
        with self._database.write() as connection:
            user = _named(connection, name)
            connection.execute(update(t.users).where(t.users.c.id == user.id).values(**values))
            connection.execute(delete(t.sessions).where(t.sessions.c.user_id == user.id))
            record(connection, self._clock.time_ms(), event)

    def _record(self, event: Event) -> None:
        with self._database.write() as connection:
            record(connection, self._clock.time_ms(), event)

    def _hash(self, password: str) -> str:
        if not PASSWORD_SIZE_MIN <= len(password) <= PASSWORD_SIZE_MAX:
            raise UsageError(f"a password has {PASSWORD_SIZE_MIN} to {PASSWORD_SIZE_MAX} characters")
        with self._hashing:
            return self._hasher.hash(_folded(password))

    def _holds(self, password_hash: str, password: str) -> bool:
        try:
            with self._hashing:
                return self._hasher.verify(password_hash, _folded(password[:PASSWORD_SIZE_MAX]))
        except (VerificationError, InvalidHashError):
            return False


def checked_zone(zone: str) -> str:
    """Return `zone`. Raises UsageError when no time zone is called so."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"no time zone is called {zone[:80]!r}: for example Europe/Kyiv") from error
    return zone


def _folded(password: str) -> str:
    """The same password from any keyboard: composed and decomposed letters are one."""
    return unicodedata.normalize("NFC", password)


def _token_hash(token: str) -> str:
    return hashlib.blake2b(token.encode(errors="replace"), digest_size=32).hexdigest()


def _named(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(select(t.users).where(t.users.c.name == name)).one_or_none()
    if row is None:
        raise UsageError(f"no user is called {name[:80]!r}")
    return row


def _user(row: Row[Any]) -> User:
    return User(row.id, row.name, row.role, row.zone, row.created_ms, row.disabled_ms)
