"""The ground station: hears kits on every bearer, takes custody, relays to the server. Reads no study.

May import `wire` and `node`; never `edge` or `server`.
"""
