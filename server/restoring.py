"""Restores JPEG files from JPEG XL in a process of its own, with limits: what a study holds may be a stranger's.

libjxl reads there what nobody vouches for. Whatever it does with it, ask for memory without end, run on, or fall over,
ends that process and no other. May call: `wire.picture`. A picture takes a tenth of a second more by this, and is only
restored when somebody looks at it.
"""

import os
import resource
import subprocess
import sys
import threading
from typing import Final

from wire import picture
from wire.errors import FormatError

MEMORY_SIZE_MAX: Final = 1 << 30
"""Of the process's address space: sixteen million pixels take 370 MB."""
CPU_S_MAX: Final = 20
WAIT_S_MAX: Final = 60.0
AT_A_TIME_MAX: Final = 2
_LIMITED: Final = ("-m", __name__)
"""What Python is given to run `main`."""


class Restorer:
    """Starts the processes, at most AT_A_TIME_MAX at a time. May be called from any thread."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(AT_A_TIME_MAX)

    def restore(self, packed: bytes, size_max: int) -> bytes:
        """Return what was packed by codec 4. Raises FormatError, also when restoring takes more than it may."""
        head, size, _ = picture.parse(packed)
        if len(head) + size > size_max:
            raise FormatError(f"a packed picture declares {len(head) + size} bytes; at most {size_max}")
        with self._places:
            return _restored(packed, size_max)


def _restored(packed: bytes, size_max: int) -> bytes:
    command = [sys.executable, *_LIMITED, str(size_max)]
    # The child finds our packages where we have found them, and nothing else of our environment.
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, input=packed, capture_output=True, timeout=WAIT_S_MAX, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FormatError(f"a picture could not be restored within {WAIT_S_MAX:.0f} s") from error
    if done.returncode == FormatError.exit_code:
        raise FormatError(done.stderr.decode(errors="replace").strip()[-300:])
    if done.returncode:
        raise FormatError(f"a picture could not be restored: the process that tried ended with {done.returncode}")
    return done.stdout


def main() -> int:
    """Restore what stands on the standard input, under the limits."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_SIZE_MAX, MEMORY_SIZE_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        data = picture.unpack(sys.stdin.buffer.read(), int(sys.argv[1]))
    except FormatError as error:
        sys.stderr.write(str(error))
        return FormatError.exit_code
    sys.stdout.buffer.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
