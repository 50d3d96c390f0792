"""The kit in the van: device drivers, capture, catalog, panel, the kit's daemon.

May import `wire`, `node` and the pins of `hardware`; never `gateway` or `server`.
"""
