"""Simulated modems: the other end of a modem driver's serial line, in virtual time, with the faults of the field.

Written from the makers' manuals and from what was seen on real lines, never from our drivers, so that each checks the
other. Nothing here does I/O, but `sockets.py` (real sockets on loopback) and `shell.py` (ptys). All of it is seeded:
the same seed, knobs and calls give the same bytes.

How every modem is used (`interpreter.AtModem`)::

    modem = Sim800(network, faults=["pdp-deact@2", "urc-inside=7@1+"], seed=3)
    modem.feed(data, now)        # bytes from the host's side of the line
    modem.tick(now)              # at `deadline()` or earlier; the first call is when the supply comes on, if it is on
    modem.output() -> bytes      # what has left the modem by the last `now`, at the pace of the line's baud
    modem.deadline() -> float | None
    modem.rail.set(False)        # the supply; `modem.key.set(True)`: the power key. Both take effect at the next tick
    modem.host_baud = 9600       # what the host's end of the line is set to; None: whatever the modem has
    modem.set_dtr(False, now)    # falls; `modem.is_carrier` is DCD, `modem.is_ringing` is RI
    modem.is_present             # False while a USB modem has vanished

Modems: `Sim800`, `Sim7600`, `Quectel` (sockets inside, `cellular.py`), `DialModem` (`dialup.py`: CSD, Iridium dial-up,
an answering modem; calls go through an `Exchange`), `Iridium9602` (short bursts; sessions go through a `Ground`).

The far end is reached through a `network.Network`: `VirtualNetwork` (objects of this process), `sockets.RealNetwork`
(loopback), either behind an `air.Air` that is slow, late, lossy and cut. `Ground(network, directip=("host", port))` is
Iridium's gateway: it delivers what modems sent by DirectIP to that address through the same kind of network, and
`ground.listen("host", port)` takes MT messages by DirectIP::

    ground = Ground(network, directip=("192.0.2.1", 10800), seed=3)
    modem = Iridium9602(ground, imei="300234063904190", faults=["delivered-but=18@2"], seed=3)
    ground.tick(now); ground.deadline()     # and the network's tick and deadline, as for modems
    modem.meter.credits, modem.meter.joules

`faults.py` says how a knob is written; each class has its table `KNOBS`.
"""
