"""Invariant: whatever a GPS receiver's line carries, the driver raises nothing, sends nothing, gives only places on
this earth, and says the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_nmea`, or `python -m tests.fuzz.fuzz_nmea`.
"""

from hardware.simulated.gps import SIRF, sentence
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

RMC = sentence("GPRMC,080000.00,A,5027.0,N,03031.4,E,0,0,221126,,,A")
GGA = sentence("GPGGA,080000.00,5027.0,N,03031.4,E,1,08,1.1,150.0,M,23.7,M,,")
ZDA = sentence("GPZDA,080000.00,22,11,2026,00,00")
SEEDS = [GGA + RMC, SIRF + RMC + ZDA + RMC, sentence("GPRMC,000231.42,A,4829.0005,S,00022.0016,W,0,0,2208-1,,,A")]


def check(data: bytes) -> None:
    """Hold the invariant for one line."""
    whole, single = Bench("nmea"), Bench("nmea")
    whole.feed(data)
    single.feed_in_pieces(data)
    assert whole.scans == single.scans
    assert whole.sent == b""
    assert all(abs(float(one.latitude)) <= 90 and abs(float(one.longitude)) <= 180 for one in whole.scans)
    whole.wait(200)
    assert whole.studies == []


if __name__ == "__main__":
    drive(check, SEEDS)
