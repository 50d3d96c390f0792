"""The centre: kernel, database, file store, ingest, web.

May import `wire` and `node`; never `edge` or `gateway`.
"""
