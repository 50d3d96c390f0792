"""The pages that doctors see (R24): Starlette, Jinja2, one style sheet, one small script. Nothing from elsewhere.

May import `server`; nothing of `server` but `server.app` imports it.
"""
