"""How far a table knows its target."""

from pathlib import Path

from components.validation.scanning import scan
from components.validation.sources import find_source
from components.validation.vintages import without_vintages
from forecasting.config.root import ValidateDataSettings
from forecasting.contracts.layout import HomeLayout


def last_target(settings: ValidateDataSettings, home: HomeLayout, scratch: Path) -> int:
    """Time of the last row with a target, UTC epoch seconds; the table is read once.

    Args:
        settings: Of validate_data.
        home: Where examples are.
        scratch: A folder for files.

    Raises:
        ConfigError: A setting cannot be met.
        DataError: The table cannot be read, or has no target.
    """
    plain = without_vintages(settings)
    source = find_source(plain.data, home)
    return scan(source, plain, cutoff=None, folder=scratch, n_in_memory=plain.validation.part_rows).last
