"""Names of the ways to scale a column, apart from the arithmetic, so that settings need no NumPy."""

from typing import Literal

Method = Literal["z_score", "min_max", "robust", "log1p", "none"]
