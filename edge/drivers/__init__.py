"""The drivers that come with the kit: one module each, found by `edge.registry`."""
