from tests.unit.serving.conftest import models

__all__ = ["models"]
