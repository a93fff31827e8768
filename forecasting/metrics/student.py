"""Student's t distribution, without SciPy."""

import math


def student_t_cdf(value: float, dof: int) -> float:
    """P(T <= value) of Student's t distribution with a whole number of degrees of freedom.

    Source: Abramowitz and Stegun (1964), Handbook of mathematical functions, 26.7.3 and 26.7.4.

    Args:
        value: Any number; infinite is allowed.
        dof: Degrees of freedom, at least 1.

    Returns:
        Between 0 and 1; NaN for NaN.

    Raises:
        ValueError: There is no degree of freedom.
    """
    if dof < 1:
        raise ValueError(f"a t distribution must have at least 1 degree of freedom, found {dof}")
    if math.isnan(value):
        return math.nan
    angle = math.atan2(value, math.sqrt(dof))
    cosine, sine = math.cos(angle), math.sin(angle)
    term, total = (cosine, 0.0) if dof % 2 else (1.0, 0.0)
    for power in range(2 + dof % 2, dof + 1, 2):
        total += term
        term *= (power - 1) / power * cosine**2
    two_sided = 2 / math.pi * (angle + sine * total) if dof % 2 else sine * total
    return min(1.0, max(0.0, 0.5 + two_sided / 2))
