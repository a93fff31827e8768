"""Words of a table as numbers that stay the same from batch to batch: names of series, categories."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.validation.sources.table import SourceTable
from forecasting.errors import DataError

Ints = npt.NDArray[np.int64]


class WordCodes:
    """Numbers of words in the order in which they came up."""

    def __init__(self) -> None:
        """No word yet."""
        self._codes: dict[str, int] = {}

    @property
    def words(self) -> tuple[str, ...]:
        """All words by their number."""
        return tuple(self._codes)

    def __len__(self) -> int:
        return len(self._codes)

    def codes(self, words: list[str]) -> Ints:
        """Numbers of some words `[n]`."""
        return np.asarray([self._codes.setdefault(word, len(self._codes)) for word in words], dtype=np.int64)


class SeriesNames:
    """Names of series: the id columns joined by `/`, or one name where there are none."""

    def __init__(self, columns: tuple[str, ...], *, single: str) -> None:
        """No series yet."""
        self._columns, self._names = columns, WordCodes()
        self._parts: dict[str, tuple[str, ...]] = {}
        if not columns:
            self._names.codes([single])

    @property
    def names(self) -> tuple[str, ...]:
        """All names in the order in which they came up."""
        return self._names.words

    def codes(self, source: SourceTable) -> Ints:
        """Number of the series of every row `[rows]`.

        Raises:
            DataError: An id is missing, or two different series would get the same name.
        """
        if not self._columns:
            return np.zeros(source.table.num_rows, dtype=np.int64)
        codes, tuples = np.zeros(source.table.num_rows, dtype=np.int64), [()]
        for name in self._columns:
            part, words = self._words(source, name)
            pairs, codes = np.unique(codes * max(1, len(words)) + part, return_inverse=True)
            tuples = [(*tuples[pair // len(words)], words[pair % len(words)]) for pair in pairs.tolist()]
        names = ["/".join(parts) for parts in tuples]
        for name, parts in zip(names, tuples, strict=True):
            if self._parts.setdefault(name, parts) != parts:
                raise DataError(
                    f"{source.name}: id columns {', '.join(self._columns)} joined by '/' must name each series; a value contains '/'"
                )
        return self._names.codes(names)[codes] if names else codes

    def _words(self, source: SourceTable, name: str) -> tuple[Ints, list[str]]:
        codes, words = coded(source, name)
        empty = codes < 0
        if "" in words:
            empty |= codes == words.index("")
        if empty.any():
            row = int(np.flatnonzero(empty)[0])
            raise DataError(
                f"{source.name}: id column {name!r} must have a value in every row; {source.row_name(row)} has none"
            )
        return codes, words


def coded(source: SourceTable, column: str) -> tuple[Ints, list[str]]:
    """A column as text: the number of the word in every row `[rows]`, -1 where there is none, and the words."""
    values = source.table[column].combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    found = pc.cast(values, pa.string()).dictionary_encode()
    codes = pc.fill_null(found.indices, -1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64), found.dictionary.to_pylist()
