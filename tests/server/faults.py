"""A disk that breaks at a chosen call, and a database that does: for crashes at every step of taking something in."""

CALLS = ("append", "write_at", "make_folder", "rename", "remove", "truncate", "sync", "sync_folder")


class Broken(Exception):
    """The power went away here."""


class FailingDisk:
    """Passes every call on, until call number `fail_at`; after that every call fails: the machine is off."""

    def __init__(self, disk, fail_at=None):
        self._disk, self.fail_at, self.calls = disk, fail_at, 0
        self._planned = None

    def fail(self, name, error, skip=0):
        """Let the call `name` fail with `error`, once, after `skip` that pass."""
        self._planned = [name, error, skip]

    def __getattr__(self, name):
        call = getattr(self._disk, name)
        if name not in CALLS:
            return call

        def run(*args):
            self.calls += 1
            if self.fail_at is not None and self.calls >= self.fail_at:
                raise Broken(f"{name} {args[0]}")
            if self._planned and self._planned[0] == name:
                self._planned[2] -= 1
                if self._planned[2] < 0:
                    error, self._planned = self._planned[1], None
                    raise error
            return call(*args)

        return run
