"""What travels and what is stored: tags, streams of tags, sealing, the session and its channels.

Pure: bytes in, events and bytes out. Nothing here opens a file or a socket, reads a clock, draws randomness
or writes a log; time and entropy come in as arguments. `tests/test_tidy.py` holds that rule.
"""
