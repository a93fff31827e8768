"""The version of this distribution; that of `pyproject.toml`."""

VERSION = "0.1.0"
