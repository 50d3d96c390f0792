"""What every node is made of: disk seam, journal, spool, clock, bearers, the pump, configuration.

May import `wire` and nothing else of ours.
"""
