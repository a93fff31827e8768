"""What sources of several files share: one set of columns, and columns that the names of folders say."""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from forecasting.errors import DataError
from forecasting.source_files import FileSet


def common_columns(files: FileSet, names_of: Callable[[str], Sequence[str]]) -> tuple[str, ...]:
    """Columns of all files, then those of the partitions.

    Args:
        files: The files.
        names_of: The columns of one of them.

    Raises:
        DataError: A file has other columns than the first.
    """
    first = tuple(names_of(files.paths[0]))
    keys = tuple(files.partition(files.paths[0]))
    for path, name in zip(files.paths, files.names, strict=True):
        found = first if path == files.paths[0] else tuple(names_of(path))
        for kind, here, there in (("columns", found, first), ("partitions", tuple(files.partition(path)), keys)):
            if sorted(here) == sorted(there):
                continue
            lacks = [column for column in there if column not in here]
            more = [column for column in here if column not in there]
            said = [f"lacks {', '.join(lacks)}"] * bool(lacks) + [f"has {', '.join(more)} too"] * bool(more)
            raise DataError(
                f"the files of {files.address.name} must have the same {kind}; {name} differs from {files.names[0]}: it "
                f"{' and '.join(said) or 'has one of them twice'}"
            )
    if both := [key for key in keys if key in first]:
        raise DataError(
            f"the files of {files.address.name} must not have the column {both[0]!r} that the names of their folders say"
        )
    return (*first, *keys)


def with_partition(batch: pa.RecordBatch, columns: tuple[str, ...], partition: dict[str, str | None]) -> pa.RecordBatch:
    """A batch in the order of `columns`, with text columns for what the names of folders say."""
    arrays = []
    for name in columns:
        if name in partition:
            arrays.append(pa.repeat(pa.scalar(partition[name], pa.string()), batch.num_rows))
        else:
            arrays.append(batch.column(name))
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def short_name(files: FileSet) -> str:
    """Last part of the address, for a heading."""
    return PurePosixPath(files.address.name.rstrip("/")).name or files.address.name
