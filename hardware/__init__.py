"""Pin map, LED codes, wiring, the companion's firmware, and simulated devices for demo, training and tests.

Simulators may import `wire`, and never a driver: a shared mistake would hide from every test.
"""
