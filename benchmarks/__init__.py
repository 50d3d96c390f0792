"""Figures that anyone can reproduce: `make bench`, or `python -m benchmarks NAME...`."""
