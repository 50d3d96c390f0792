"""The beginnings of a driver in a package of its own; `feldsher kit new-driver` copies it under another name.

Everything here is real and is tested: `mydevice.py` is a driver, the recording is replayed, and the copy passes the
conformance suite as soon as it is installed.
"""
