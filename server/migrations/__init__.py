"""The steps by which the schema came to be; alembic runs them in order. Never change one that was released."""
