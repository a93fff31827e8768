"""Recurrent layers with two ways through them that give the same numbers.

The fused way, which an LSTM has, runs all steps in one operation of TensorFlow, forward and backward. Measured on a
CPU it trains 1.7 times as fast as a loop at a batch of 32, and 1.05 times at 512, where the products take the time.
The portable way, which every kind has, is made of plain operations: it converts to TensorFlow Lite, compiles under
XLA, and can drop out the state.

S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9 (1997), with the forget gate of
F. Gers et al. (2000); K. Cho et al., "Learning Phrase Representations using RNN Encoder–Decoder" (2014), with the
reset gate after the product, as on GPUs.
"""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from typing_extensions import override

from forecasting.neural.models.dropout import ReplicaSeeds
from forecasting.neural.models.products import product

Tensor = Any
State = tuple[Tensor, ...]
_UNROLLED_STEPS = 16
"""Longer recurrences run as a loop in the graph while training; unrolled they take minutes to trace."""
_UNROLLED_STEPS_EXPORTED = 512
"""Longer recurrences are exported as a loop: TensorFlow Lite runs unrolled steps faster and can quantise them."""
_CLOSED = -1e4
"""An input gate with this much taken off is exactly 0 in float32 and in float16."""
_portable: ContextVar[bool] = ContextVar("portable_recurrence", default=False)


@contextmanager
def portable_recurrence() -> Iterator[None]:
    """Within it, recurrences are traced as plain operations."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def is_portable() -> bool:
    """Whether recurrences are traced as plain operations here."""
    return _portable.get()


class Recurrence(keras.layers.Layer):
    """A recurrent layer over `[B,T,F]`, the portable way.

    `counting` tells padding, which lies before or after all other steps of its sequence. Padding leaves the state as it
    was, so that a padded sequence ends in the state of the unpadded one; outputs at padded steps mean nothing.
    """

    n_gates: int
    n_states: int
    computes_mixed = True
    """Joins `forecasting.neural.precision.mixed_layers`."""
    n_biases = 1
    rests_at_zero = False
    """Whether a step whose projected input is zeros leaves a state of zeros as it is."""

    def __init__(self, units: int, *, recurrent_dropout: float = 0.0, name: str | None = None) -> None:
        """Set the width; weights appear with the first call."""
        super().__init__(name=name)
        self.units, self.recurrent_dropout = units, recurrent_dropout
        self._seed = ReplicaSeeds(0) if recurrent_dropout else None

    @override
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = self.n_gates * self.units
        self.kernel = self.add_weight(shape=(input_shape[-1], width), initializer="glorot_uniform", name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight(shape=(self.n_biases * width,), initializer=self._first_bias, name="bias")

    @override
    def call(
        self,
        inputs: Tensor,
        state: State | None = None,
        counting: Tensor | None = None,
        padding: Literal["before", "after"] = "before",
        training: bool = False,
    ) -> tuple[Tensor, State]:
        """Run over all steps.

        Args:
            inputs: `[B,T,F]`, T known.
            state: `[B,units]` each; none: zeros. Where padding comes before, it must be zeros where `counting` is 0.
            counting: `[B,T]`, 1 for a step that counts, 0 for padding; none: all count.
            padding: Where padding lies.
            training: Whether the state is dropped out.

        Returns:
            Outputs `[B,T,units]` and the state after the last step.
        """
        return self._run(inputs, state, counting, padding=padding, training=training)

    @abstractmethod
    def _step(self, projected: Tensor, state: State | None, recurrent: Tensor | None, kernel: Tensor) -> State:
        """Next state; its first part is the output.

        Args:
            projected: Input through kernel and bias `[B, gates × units]`.
            state: `[B,units]` each; none: zeros.
            recurrent: What of the state goes through the recurrent kernel `[B,units]`; none: zeros.
            kernel: The recurrent kernel, its gates in the order of `_in_step_order`.
        """

    def _in_step_order(self, gates: Tensor) -> Tensor:
        """Weights `[...,gates × units]` with the gates as `_step` takes them."""
        return gates

    def _first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        return ops.zeros(shape, dtype=dtype)

    def _zero_state(self, inputs: Tensor) -> State:
        zeros = tf.zeros([tf.shape(inputs)[0], self.units], inputs.dtype)
        return (zeros,) * self.n_states

    def _run(
        self, inputs: Tensor, state: State | None, counting: Tensor | None, *,
        padding: Literal["before", "after"], training: bool,
    ) -> tuple[Tensor, State]:  # fmt: skip
        """As `call`; a kind with a faster way takes it here where it can."""
        # The whole sequence goes through the kernel at once; only the state has to wait its turn.
        n_steps, width = inputs.shape[1], self.n_gates * self.units
        rows = tf.reshape(inputs, [-1, inputs.shape[2]])
        projected = product(rows, self._in_step_order(self.kernel), self._in_step_order(self._input_bias()))
        projected = tf.reshape(projected, [-1, n_steps, width])
        if counting is not None and padding == "before" and self.rests_at_zero:
            projected, counting = projected * tf.cast(counting, projected.dtype)[:, :, None], None
        kept = self._kept(projected[:, 0, : self.units]) if training and self.recurrent_dropout else None
        kernel = self._in_step_order(tf.convert_to_tensor(self.recurrent_kernel))

        def advance(projected_step: Tensor, state: State | None, share: Tensor | None) -> State:
            recurrent = None if state is None else state[0] if kept is None else state[0] * kept
            following = self._step(projected_step, state, recurrent, kernel)
            if share is None:
                return following
            if padding == "before" or state is None:
                # Until the first step that counts the state is zeros, and a product keeps it there.
                return tuple(share * new for new in following)
            return tuple(share * new + (1.0 - share) * old for new, old in zip(following, state, strict=True))

        shares = None if counting is None else tf.cast(counting, projected.dtype)[:, :, None]
        if n_steps > (_UNROLLED_STEPS_EXPORTED if is_portable() else _UNROLLED_STEPS):
            return _looped(advance, projected, state or self._zero_state(inputs), shares)
        by_step = tf.unstack(projected, axis=1)
        share_by_step = [None] * n_steps if shares is None else tf.unstack(shares, axis=1)
        outputs = []
        for projected_step, share in zip(by_step, share_by_step, strict=True):
            state = advance(projected_step, state, share)
            outputs.append(state[0])
        return tf.stack(outputs, axis=1), state or self._zero_state(inputs)

    def _input_bias(self) -> Tensor:
        return self.bias

    def _kept(self, state: Tensor) -> Tensor:
        """What is kept of the state, the same at every step of a sequence: Y. Gal and Z. Ghahramani, "A Theoretically Grounded Application of Dropout in RNNs" (2016)."""
        return keras.random.dropout(tf.ones_like(state), self.recurrent_dropout, seed=self._seed)


class LSTM(Recurrence):
    """Long short-term memory. Gates lie in the order of the fused operation: input, candidate, forget, output."""

    n_gates = 4
    n_states = 2
    rests_at_zero = True

    @override
    def _first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        # The forget gate starts open: R. Jozefowicz et al., "An Empirical Exploration of Recurrent Network Architectures" (2015).
        bias = np.zeros(shape, dtype=np.float32)
        bias[2 * self.units : 3 * self.units] = 1.0
        return ops.convert_to_tensor(bias, dtype=dtype)

    @override
    def _run(
        self, inputs: Tensor, state: State | None, counting: Tensor | None, *,
        padding: Literal["before", "after"], training: bool,
    ) -> tuple[Tensor, State]:  # fmt: skip
        if not self._runs_fused(training=training):
            return super()._run(inputs, state, counting, padding=padding, training=training)
        state = state or self._zero_state(inputs)
        if counting is None:
            outputs, states = self._fused(inputs, self.kernel, state)
        elif padding == "before":
            outputs, states = self._fused(*self._with_closed_gates(inputs, counting), state)
        else:
            outputs, states = self._fused(inputs, self.kernel, state)
            return outputs, tuple(
                _last_counting(part, counting, zero) for part, zero in zip(states, state, strict=True)
            )
        return outputs, tuple(part[:, -1] for part in states)

    def _runs_fused(self, *, training: bool) -> bool:
        return not is_portable() and self.compute_dtype != "bfloat16" and not (training and self.recurrent_dropout)

    def _with_closed_gates(self, inputs: Tensor, counting: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and kernel with one column more, that closes the input gate where `counting` is 0."""
        row = np.zeros((1, self.n_gates * self.units), dtype=np.float32)
        row[:, : self.units] = _CLOSED
        column = (1.0 - tf.cast(counting, inputs.dtype))[:, :, None]
        return tf.concat([inputs, column], 2), tf.concat([self.kernel, tf.constant(row, self.kernel.dtype)], 0)

    def _fused(self, inputs: Tensor, kernel: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs `[B,T,units]` and each part of the state after every step `[B,T,units]`."""
        output, memory = state
        peephole = tf.zeros([self.units], inputs.dtype)
        found = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(inputs.shape[1], tf.int64),
            x=tf.transpose(inputs, [1, 0, 2]),
            cs_prev=memory,
            h_prev=output,
            w=tf.concat([kernel, tf.convert_to_tensor(self.recurrent_kernel)], axis=0),
            wci=peephole,
            wcf=peephole,
            wco=peephole,
            b=tf.convert_to_tensor(self.bias),
            forget_bias=0.0,
            cell_clip=-1.0,
            use_peephole=False,
        )
        outputs = tf.transpose(found.h, [1, 0, 2])
        return outputs, (outputs, tf.transpose(found.cs, [1, 0, 2]))

    @override
    def _in_step_order(self, gates: Tensor) -> Tensor:
        # The three that go through a sigmoid side by side, so that it is one operation a step.
        gates, n = tf.convert_to_tensor(gates), self.units
        return tf.concat([gates[..., :n], gates[..., 2 * n :], gates[..., n : 2 * n]], axis=-1)

    @override
    def _step(self, projected: Tensor, state: State | None, recurrent: Tensor | None, kernel: Tensor) -> State:
        gates = projected if recurrent is None else projected + product(recurrent, kernel)
        n = 3 * self.units
        entry, forget, exit_ = tf.split(tf.sigmoid(gates[:, :n]), 3, axis=1)
        memory = entry * tf.tanh(gates[:, n:])
        if state is not None:
            memory = forget * state[1] + memory
        return exit_ * tf.tanh(memory), memory


class GRU(Recurrence):
    """Gated recurrent unit. Gates: update, reset, candidate."""

    n_gates = 3
    n_states = 1
    n_biases = 2

    @override
    def _input_bias(self) -> Tensor:
        return self.bias[: 3 * self.units]

    @override
    def _step(self, projected: Tensor, state: State | None, recurrent: Tensor | None, kernel: Tensor) -> State:
        n, bias = 2 * self.units, self.bias[3 * self.units :]
        inner = bias[None] if recurrent is None else product(recurrent, kernel, bias)
        update, reset = tf.split(tf.sigmoid(projected[:, :n] + inner[:, :n]), 2, axis=1)
        candidate = tf.tanh(projected[:, n:] + reset * inner[:, n:])
        if state is None:
            return (candidate - update * candidate,)
        return (candidate + update * (state[0] - candidate),)


RECURRENCES: dict[str, type[Recurrence]] = {"lstm": LSTM, "gru": GRU}


def _last_counting(values: Tensor, counting: Tensor, otherwise: Tensor) -> Tensor:
    """Values `[B,units]` at the last step that counts of `[B,T,units]`; where none does, `otherwise`."""
    n_counting = tf.reduce_sum(tf.cast(counting, tf.int32), axis=1)
    last = tf.gather(values, tf.maximum(n_counting - 1, 0), axis=1, batch_dims=1)
    return tf.where((n_counting > 0)[:, None], last, otherwise)


def _looped(advance: Any, projected: Tensor, state: State, shares: Tensor | None) -> tuple[Tensor, State]:
    """The steps as one loop in the graph."""
    n_steps, n_states = projected.shape[1], len(state)
    by_step = tf.transpose(projected, [1, 0, 2])
    share_by_step = None if shares is None else tf.transpose(shares, [1, 0, 2])
    outputs = tf.TensorArray(projected.dtype, n_steps, element_shape=state[0].shape)

    def body(step: Tensor, outputs: Any, *state: Tensor) -> list[Any]:
        following = advance(by_step[step], state, None if share_by_step is None else share_by_step[step])
        return [step + 1, outputs.write(step, following[0]), *following]

    found = tf.while_loop(
        lambda step, *_: step < n_steps, body, [tf.constant(0), outputs, *state], maximum_iterations=n_steps
    )
    return tf.transpose(found[1].stack(), [1, 0, 2]), tuple(found[2 : 2 + n_states])
