"""Bytes that differ from given ones in a few places: a short run of the fuzzer, always the same for a seed."""

import random
from collections.abc import Iterator, Sequence

_TELLING = (b"\x00", b"\xff", b"\x80", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"-", b"NaN", b"null", b"1e400",
            b"9" * 30, b"\xed\xa0\x80", b"\xff\xff\xff\xff\x0f", b"../", b"\xe2\x80\xae")  # fmt: skip
_CHANGES = (1, 1, 1, 1, 2, 3, 6)
_LONGEST = 1 << 16
_FRESH, _KEPT = 0.5, 0.001


def mutated(seeds: Sequence[bytes], *, n: int, seed: int) -> Iterator[bytes]:
    """Some changed bytes; what was made is changed again now and then."""
    draw, pool = random.Random(seed), list(seeds)
    for _ in range(n):
        # Half of all begin with what a parser reads: the pool soon holds mostly what it refuses.
        made = draw.choice(seeds if draw.random() < _FRESH else pool)
        for _ in range(draw.choice(_CHANGES)):
            made = _changed(made, draw, pool)[:_LONGEST]
        if draw.random() < _KEPT:
            pool.append(made)
        yield made


def _changed(sent: bytes, draw: random.Random, pool: Sequence[bytes]) -> bytes:
    start = draw.randint(0, len(sent))
    end = min(len(sent), start + draw.choice((0, 1, 1, 2, 4, 16, 64)))
    kind = draw.randrange(8)
    if kind == 0:
        return sent[:start] + sent[end:]
    if kind == 1:
        return sent[:start] + sent[start:end] * draw.choice((2, 3, 50)) + sent[end:]
    if kind == 2:
        return sent[:start] + draw.choice(_TELLING) + sent[end:]
    if kind == 3:
        other = draw.choice(pool)
        cut = draw.randint(0, len(other))
        return sent[:start] + other[cut : cut + 64] + sent[end:]
    if kind == 4:
        return sent[:start] + draw.randbytes(end - start) + sent[end:]
    # Most formats have lengths inside: one byte in its place leaves the others true.
    place = min(start, max(len(sent) - 1, 0))
    return sent[:place] + bytes((draw.choice((0, 1, 127, 128, 255, draw.randrange(256))),)) + sent[place + 1 :]
