"""One file served by FUSE whose every write and flush is remembered in order: the medium below a loop device.

Speaks the kernel's FUSE protocol over /dev/fuse itself (include/uapi/linux/fuse.h, version 7.31), so that no library
is needed. Without a write-back cache the kernel passes each write of the loop device on at once, and each flush as
FSYNC: what lies between two flushes is what a power cut may keep, lose, tear or reorder.
"""

import ctypes
import errno
import os
import struct
import subprocess
import threading
from pathlib import Path

NAME = b"disk.img"
WRITE_SIZE_MAX = 1 << 17
_HEADER = struct.Struct("<IIQQIIII")
_REPLY = struct.Struct("<IiQ")
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE, _FSYNC = 1, 2, 3, 14, 15, 16, 17, 18, 20
_FLUSH, _INIT, _OPENDIR, _RELEASEDIR, _INTERRUPT, _BATCH_FORGET = 25, 26, 27, 29, 36, 42
_SILENT = {_FORGET, _BATCH_FORGET, _INTERRUPT}
_ROOT, _FILE = 1, 2


class FuseBlock:
    """Serves `content` as `<mountpoint>/disk.img`; `events` are ("write", offset, data) and ("flush",)."""

    def __init__(self, mountpoint: Path, content: bytes) -> None:
        self.path = mountpoint / NAME.decode()
        self.content = bytearray(content)
        self.events: list[tuple] = []
        self._mountpoint = mountpoint
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"feldsher-test", os.fsencode(mountpoint), b"fuse", 0, options):
            number = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(number, f"mount fuse: {os.strerror(number)}")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self._mountpoint)], check=False)
        self._thread.join(10)
        os.close(self._fd)

    def _serve(self) -> None:
        acts = {
            _INIT: self._init,
            _LOOKUP: self._lookup,
            _GETATTR: lambda node, _: struct.pack("<QII", 0, 0, 0) + self._attributes(node),
            _OPEN: lambda *_: struct.pack("<QII", 0, 0, 0),
            _OPENDIR: lambda *_: struct.pack("<QII", 0, 0, 0),
            _READ: self._read,
            _WRITE: self._write,
            _FSYNC: self._fsync,
            _STATFS: lambda *_: struct.pack("<QQQQQIIII24x", 1000, 0, 0, 10, 0, 4096, 255, 4096, 0),
            _FLUSH: lambda *_: b"",
            _RELEASE: lambda *_: b"",
            _RELEASEDIR: lambda *_: b"",
        }
        while True:
            try:
                request = os.read(self._fd, WRITE_SIZE_MAX + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return
            _, opcode, unique, node, *_ = _HEADER.unpack_from(request)
            if opcode in _SILENT:
                continue
            act = acts.get(opcode)
            answer = act(node, request[_HEADER.size :]) if act else None
            self._reply(unique, -errno.ENOSYS if act is None else 0 if answer is not None else -errno.ENOENT, answer)

    def _reply(self, unique: int, status: int, answer: bytes | None) -> None:
        body = answer or b""
        try:
            os.write(self._fd, _REPLY.pack(_REPLY.size + len(body), status, unique) + body)
        except FileNotFoundError:  # the request was interrupted
            return

    def _init(self, _node: int, body: bytes) -> bytes:
        readahead = struct.unpack_from("<III", body)[2]
        head = struct.pack("<IIII", 7, 31, readahead, 1 << 5)  # FUSE_BIG_WRITES
        return head + struct.pack("<HHIIHH32x", 12, 10, WRITE_SIZE_MAX, 1, WRITE_SIZE_MAX // 4096, 0)

    def _attributes(self, node: int) -> bytes:
        mode, size = (0o40755, 0) if node == _ROOT else (0o100600, len(self.content))
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _lookup(self, _node: int, body: bytes) -> bytes | None:
        if body.rstrip(b"\0") != NAME:
            return None
        return struct.pack("<QQQQII", _FILE, 0, 3600, 3600, 0, 0) + self._attributes(_FILE)

    def _read(self, _node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self.content[offset : offset + size])

    def _write(self, _node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        data = body[40 : 40 + size]
        self.content[offset : offset + size] = data
        self.events.append(("write", offset, data))
        return struct.pack("<II", size, 0)

    def _fsync(self, _node: int, _body: bytes) -> bytes:
        self.events.append(("flush",))
        return b""
