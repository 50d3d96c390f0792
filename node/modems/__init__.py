"""Modems: the AT engine, the care of a modem, and what makes a bearer of it. All synchronous, none touches a port."""
