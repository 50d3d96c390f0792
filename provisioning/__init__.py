"""Enrolment of kits and gateways, keys, image, updates. May import every other folder."""
