"""The same for HL7 v2 in MLLP: one analyser with the same faults calls us and python-hl7's server.

As `benchmarks/analysers.py`, with the simulated sender of `hardware.simulated.hl7_sender`. python-hl7 is set up as its
documentation shows: a message is read, kept in a file, and acknowledged with `create_ack`. The loop answers AA to
whatever ends.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.analysers import EVERY_S, Case, Receiver, measured, ours, peers, program, tabled
from benchmarks.kit import Row
from hardware.simulated.device import Device
from hardware.simulated.hl7_sender import Hl7Sender

LOOP: Final = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    line, _ = server.accept()
    heard = b""
    with open(sys.argv[2], "ab", buffering=0) as file:
        while data := line.recv(65536):
            file.write(data)
            *whole, heard = (heard + data).split(bytes([28, 13]))
            for message in whole:
                number = message.split(b"|")[9]
                head = b"MSH|^~" + bytes([92]) + b"&|||||||ACK|1|P|2.3.1"
                answer = head + bytes([13]) + b"MSA|AA|" + number + bytes([13])
                line.sendall(bytes([11]) + answer + bytes([28, 13]))
"""
PYTHON_HL7: Final = """
import asyncio, sys
from hl7.mllp import start_hl7_server
async def serve(reader, writer):
    while not writer.is_closing():
        message = await reader.readmessage()
        with open(sys.argv[2], "a", encoding="utf-8") as file:
            file.write(str(message) + chr(13))
        writer.writemessage(message.create_ack())
        await writer.drain()
async def main():
    async with await start_hl7_server(serve, "127.0.0.1", int(sys.argv[1]), encoding=sys.argv[3]) as server:
        await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Hl7Case(Case):
    """What the sender does. `killed_behind`: answers."""

    answered_by: ClassVar[bytes] = b"\x1c"

    def device(self) -> Device:
        """Return the sender."""
        return Hl7Sender([self._message(at) for at in range(self.messages)], self.faults, EVERY_S)

    def _message(self, message: int) -> bytes:
        rows = [self.record(message, at) for at in range(self.results)]
        lines = [
            f"MSH|^~\\&|SIM|LAB|||2026080108{message:02d}00||ORU^R01|M{message}|P|2.3.1",
            f"PID|1||PID{message}||{self.patient}||19570412|F",
            f"OBR|1||S{message}|CBC|||20260801080000",
            *(f"OBX|{at}|NM|{test}||{value}|g/L|||||F" for at, (test, value) in enumerate(rows, 1)),
        ]
        return "".join(f"{line}\r" for line in lines).encode(self.encoding)

    def on_line(self, said: bytes) -> bytes:
        """Return what arrives of what is said, when the line damages it."""
        test, value = self.record(0, 1)
        return said.replace(f"{test}||{value}".encode(), f"{test}||9{value[1:]}".encode())


CASES: Final = (
    Hl7Case("nothing goes wrong"),
    Hl7Case("a name in Latin-1", patient="Müller^Jörg", encoding="latin-1"),
    Hl7Case("a name in cp1251", patient="Іваненко^Петро", encoding="cp1251"),
    Hl7Case("a message of 20 kB", results=560, messages=1),
    Hl7Case("1C without 0D", faults=("no-cr",)),
    Hl7Case("segments end with CR LF", faults=("line-feeds",)),
    Hl7Case("NULs between messages", faults=("padding",)),
    Hl7Case("all messages in one piece", faults=("together",)),
    Hl7Case("an answer is lost", faults=("lost-ack",)),
    Hl7Case("an answer is lost, sent again with a new time", faults=("lost-ack", "fresh-time")),
    Hl7Case("cut in the middle, all again", faults=("cut",)),
    Hl7Case("a digit damaged on the line: MLLP has no checksum", is_damaged=True),
    Hl7Case("kill -9 behind an answer", killed_behind=1),
    Hl7Case("the disk is full, then kill -9", full_s=15.0),
)


def _in_segments(folder: Path) -> Iterator[tuple[str, str]]:
    path = folder / "kept"
    text = path.read_bytes().decode("latin-1") if path.exists() else ""
    for line in text.replace("\n", "\r").split("\r"):
        fields = line.split("|")
        if fields[0] == "OBX" and len(fields) > 5:
            yield fields[3], fields[5]


def receivers() -> list[Receiver]:
    """Return ours, the loop, and python-hl7 if it is there: told Latin-1, with which it reads any byte."""
    loop = Receiver("a loop that appends and answers AA", sys.executable, program(LOOP), _in_segments)
    return [ours("hl7"), loop, *peers("hl7", PYTHON_HL7.replace("sys.argv[3]", repr("latin-1")), _in_segments)]


def run(folder: str | None = None, cases: Sequence[Case] = CASES) -> Sequence[Row]:
    """Return a row for each case with a column for each receiver, and their sums."""
    return tabled(measured(folder, cases, receivers()))


if __name__ == "__main__":
    for row in run():
        print(row)
