"""The error classes of the whole system, one for each kind of thing that can be at fault.

Each class has the exit code with which the command line ends (the numbers of BSD's sysexits.h), so that a
script can tell a wrong key from a full disk. A message names the object, what is there and what is wanted.
"""

from typing import ClassVar


class FeldsherError(Exception):
    """Base of every error that a user may see. Never raised itself."""

    exit_code: ClassVar[int] = 70


class UsageError(FeldsherError):
    """The command or call was given something it cannot work with (a missing file, a bad option)."""

    exit_code = 64


class FormatError(FeldsherError):
    """Bytes of a file or stream are not what the format says."""

    exit_code = 65


class Misuse(FeldsherError):
    """Our own code called a state machine in a state where that is not lawful: a defect of ours."""

    exit_code = 70


class DiskFull(FeldsherError):
    """No room is left; what is already stored is untouched."""

    exit_code = 73


class DiskError(FeldsherError):
    """The disk failed a write, a read or an fsync. Never retried in place: stop, reopen, recover."""

    exit_code = 74


class LinkDown(FeldsherError):
    """The other side cannot be reached now; trying again later is right."""

    exit_code = 75


class PeerError(FeldsherError):
    """The other side broke the protocol."""

    exit_code = 76


class AuthError(FeldsherError):
    """A key is wrong, unknown or revoked, or a seal or signature does not hold."""

    exit_code = 77


class ConfigError(FeldsherError):
    """A configuration is wrong; the message names file, key and reason."""

    exit_code = 78


class DeviceError(FeldsherError):
    """A device or its port is missing, busy or misbehaving."""

    exit_code = 79
