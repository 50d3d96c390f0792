"""The command `feldsher`: one module a subcommand; may import every other folder."""

__version__ = "0.1.0"
