"""Run suites of Great Expectations on data frames and write their Data Docs.

This module and the expectations themselves import great_expectations, which takes seconds.
"""

import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import: it reads the variable then

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

from components.validation.data_docs import make_self_contained
from components.validation.merging import N_SHOWN, merged_results

logger = logging.getLogger(__name__)

_SITE = "data_docs"
_RUN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Fixed, so that the same table gives the same pages."""
RULE_KEY = "rule"
"""Key of an expectation's notes: the rule in `validation.severity` that it judges by."""


@dataclass(frozen=True)
class SuiteSpec:
    """Expectations and what they are about.

    frames: parts of one table, taken one after another; their index is the place of each row in the whole.
    is_complete: results list every row, not only the first ones; then there is one frame.
    """

    name: str
    frames: Iterable[pd.DataFrame]
    expectations: tuple[gxe.Expectation, ...]
    is_complete: bool = False


def run_suites(name: str, suites: Sequence[SuiteSpec], *, docs: Path | None) -> dict[str, tuple[Any, ...]]:
    """Validate every suite.

    Args:
        name: Of the model; the pages carry it.
        suites: What is validated.
        docs: Where the Data Docs go, a page of results and a page of rules a suite; none: no pages.

    Returns:
        For each suite the results of Great Expectations, one an expectation.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        if docs is not None:
            context.add_data_docs_site(_SITE, _site_config(folder))
        source = context.data_sources.add_pandas("source")
        found = {spec.name: _run_suite(context, source, spec, name=name, with_docs=docs is not None) for spec in suites}
        if docs is not None:
            make_self_contained(Path(folder), docs, suites=tuple(spec.name for spec in suites))
    return found


def _run_suite(context: Any, source: Any, spec: SuiteSpec, *, name: str, with_docs: bool) -> tuple[Any, ...]:
    rows = source.add_dataframe_asset(f"{name} {spec.name}").add_batch_definition_whole_dataframe("rows")
    suite = context.suites.add(gx.ExpectationSuite(name=spec.name, expectations=list(spec.expectations)))
    form = {"result_format": "COMPLETE" if spec.is_complete else "SUMMARY", "partial_unexpected_count": N_SHOWN}
    whole, parts = None, []
    for frame in spec.frames:
        found = rows.get_batch({"dataframe": frame}).validate(suite, result_format=form)
        whole = whole or found
        parts.append(found.results)
    if whole is None:
        raise ValueError(f"suite {spec.name!r} must have a frame to run on")
    whole.results = parts[0] if spec.is_complete else merged_results(parts)
    n_failed = sum(not found.success for found in whole.results)
    if with_docs:
        _write_docs(context, whole, spec.name, name=name, n_failed=n_failed)
    logger.info("suite %s: %d expectations, %d failed", spec.name, len(whole.results), n_failed)
    return tuple(whole.results)


def _write_docs(context: Any, result: Any, suite: str, *, name: str, n_failed: int) -> None:
    """Keep the result of a suite and render its pages."""
    n_results = len(result.results)
    result.success = not n_failed
    result.statistics = {
        "evaluated_expectations": n_results,
        "successful_expectations": n_results - n_failed,
        "unsuccessful_expectations": n_failed,
        "success_percent": (n_results - n_failed) / n_results * 100,
    }
    run = RunIdentifier(run_name=name, run_time=_RUN_TIME)
    # The fingerprint of a frame would differ with the parts of a table.
    result.meta.pop("batch_markers", None)
    result.meta |= {"run_id": run, "validation_time": _RUN_TIME, "batch_parameters": {"dataframe": "<DATAFRAME>"}}
    rules = ExpectationSuiteIdentifier(name=suite)
    key = ValidationResultIdentifier(rules, run, result.meta.get("active_batch_id", "rows"))
    context.validation_results_store.store_validation_results(
        suite_validation_result=result, suite_validation_result_identifier=key, expectation_suite_identifier=rules
    )
    context.build_data_docs(site_names=[_SITE], resource_identifiers=[key, rules])


def error_message(info: dict[str, Any]) -> str | None:
    """What went wrong inside a rule: at the top, or below the metric that it needed."""
    nested = [entry for entry in (info, *info.values()) if isinstance(entry, dict)]
    return next((entry["exception_message"] for entry in nested if entry.get("exception_message")), None)


def _site_config(folder: str) -> Any:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": folder},
    }
