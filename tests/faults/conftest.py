"""Settings and a run for tests that give validate_data bad tables."""

from tests.unit.validation.conftest import context, make_settings

__all__ = ["context", "make_settings"]
