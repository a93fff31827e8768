"""Reductions over the last steps, written once for NumPy and TensorFlow.

A reduction over 2k steps is the one over k steps combined with itself k steps earlier, so a window
of w steps takes about log2(w) combinations instead of w. Float32 sums stay as exact as pairwise
summation, windows of one column share their powers of two, and all it needs are slices, padding and
element-wise operations, which TensorFlow Lite has.
"""

from collections.abc import Callable

from forecasting.features.namespace import Array, ArrayNamespace

State = tuple[Array, ...]
"""Arrays `[B,T]` that describe what lies in the window that ends at each step."""

Combine = Callable[[State, State, int], State]
"""`combine(late, early, n)`: the state of a window from that of its last n steps and that of those before them."""


class WindowReduction:
    """One reduction of one column over windows of any length; remembers the powers of two it has made."""

    def __init__(
        self,
        first: State,
        combine: Combine,
        identity: tuple[float, ...],
        xp: ArrayNamespace,
        *,
        idempotent: bool = False,
    ) -> None:
        """Begin with the states of single steps.

        Args:
            first: State of a window of one step.
            combine: Joins two windows, one right before the other.
            identity: State of no step at all, one number for each array of `first`.
            xp: Library that does the arithmetic.
            idempotent: Whether steps may be counted twice, as for a minimum.
        """
        self._powers = {1: [first]}
        self._combine, self._identity, self._xp, self._idempotent = combine, identity, xp, idempotent

    def over(self, window: int, *, stride: int = 1) -> State:
        """States over `window` steps that lie `stride` steps apart and end at the present one."""
        if self._idempotent:
            return self._overlapping(window, stride)
        total, covered = None, 0
        for k in range(window.bit_length()):
            if window >> k & 1:
                piece = self._earlier(self._power(k, stride), covered * stride)
                total = piece if total is None else self._combine(total, piece, covered)
                covered += 1 << k
        if total is None:
            raise ValueError(f"a window must have at least one step, found {window}")
        return total

    def _overlapping(self, window: int, stride: int) -> State:
        k = window.bit_length() - 1
        power, rest = self._power(k, stride), window - (1 << k)
        return self._combine(power, self._earlier(power, rest * stride), rest) if rest else power

    def _power(self, k: int, stride: int) -> State:
        powers = self._powers.setdefault(stride, [self._powers[1][0]])
        while len(powers) <= k:
            size = 1 << (len(powers) - 1)
            powers.append(self._combine(powers[-1], self._earlier(powers[-1], size * stride), size))
        return powers[k]

    def _earlier(self, state: State, n_steps: int) -> State:
        if n_steps == 0:
            return state
        return tuple(self._xp.shift(x, n_steps, identity) for x, identity in zip(state, self._identity, strict=True))


def moments(filled: Array, present: Array, xp: ArrayNamespace) -> WindowReduction:
    """Count, mean and sum of squared deviations, merged by Chan, Golub and LeVeque (1983).

    Exact also where the level is many times the spread, for which differences of sums of squares are not.

    Args:
        filled: Values `[B,T]`, 0 where missing.
        present: 1 or 0 `[B,T]`.
        xp: Library that does the arithmetic.
    """
    one = xp.cast(1.0, "float32")

    def combine(late: State, early: State, _: int) -> State:
        count = late[0] + early[0]
        distance = early[1] - late[1]
        step = distance * (early[0] / xp.maximum(count, one))
        return count, late[1] + step, late[2] + early[2] + distance * step * late[0]

    return WindowReduction((present, filled, filled * xp.cast(0.0, "float32")), combine, (0.0, 0.0, 0.0), xp)


def minima(values: Array, xp: ArrayNamespace, *, largest: float) -> WindowReduction:
    """Smallest value; `largest` stands where there is none."""
    return WindowReduction((values,), lambda x, y, _: (xp.minimum(x[0], y[0]),), (largest,), xp, idempotent=True)


def maxima(values: Array, xp: ArrayNamespace, *, smallest: float) -> WindowReduction:
    """Largest value; `smallest` stands where there is none."""
    return WindowReduction((values,), lambda x, y, _: (xp.maximum(x[0], y[0]),), (smallest,), xp, idempotent=True)


def decayed_sums(filled: Array, present: Array, decay: float, xp: ArrayNamespace) -> WindowReduction:
    """Sums of values and of weights, where a value i steps back weighs `decay ** i`."""

    def combine(late: State, early: State, n_steps: int) -> State:
        weight = float(decay**n_steps)
        return late[0] + weight * early[0], late[1] + weight * early[1]

    return WindowReduction((filled, present), combine, (0.0, 0.0), xp)


def distances(zero_at: Array, xp: ArrayNamespace, *, far: float) -> WindowReduction:
    """Steps back to the nearest mark.

    Args:
        zero_at: 0 at a mark and `far` elsewhere `[B,T]`.
        xp: Library that does the arithmetic.
        far: A distance beyond every window.
    """

    def combine(late: State, early: State, n_steps: int) -> State:
        return (xp.minimum(late[0], early[0] + float(n_steps)),)

    return WindowReduction((zero_at,), combine, (far,), xp)
