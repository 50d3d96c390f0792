"""Simulated devices and links, written from the manuals and never from our drivers."""
