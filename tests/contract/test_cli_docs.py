"""docs/cli.md and docs/config.md say what the program does."""

import resource
import subprocess
import sys
import tomllib
from pathlib import Path

from forecasting.contracts.codes import KILLED, ExitCode
from forecasting.version import VERSION
from pipelines.docs_cli import all_parsers, cli_page
from pipelines.docs_config import config_page
from pipelines.docs_exported import exported_page
from pipelines.docs_features import features_page
from pipelines.docs_metrics import metrics_page
from pipelines.exit_codes import EXIT_CODES
from pipelines.parser import build_parser

PROJECT = Path(__file__).resolve().parents[2]

DESIGNED = """
almanac init|run|compile|submit|schedule|backfill|backtest|tune|diagnose|serve|forecast|monitor|worker|step|gc
almanac cache explain
almanac runs list|show|logs|stop
almanac models list|show|compare|approve|promote|rollback
almanac config show|schema|check
"""


def test_the_page_on_the_command_line_is_what_help_prints() -> None:
    assert (PROJECT / "docs/cli.md").read_text(encoding="utf-8") == cli_page(), (
        "run python -m pipelines.docs_cli > docs/cli.md"
    )


def test_the_page_on_the_configuration_is_what_the_model_says() -> None:
    assert (PROJECT / "docs/config.md").read_text(encoding="utf-8") == config_page(), (
        "run python -m pipelines.docs_config > docs/config.md"
    )


def test_the_page_of_features_is_what_the_code_says():
    assert (PROJECT / "docs/features.md").read_text(encoding="utf-8") == features_page(), (
        "run python -m pipelines.docs_features > docs/features.md"
    )


def test_the_page_of_metrics_is_what_the_code_says():
    assert (PROJECT / "docs/metrics.md").read_text(encoding="utf-8") == metrics_page(), (
        "run python -m pipelines.docs_metrics > docs/metrics.md"
    )


def test_the_page_of_exported_metrics_is_what_the_contract_says():
    assert (PROJECT / "docs/exported-metrics.md").read_text(encoding="utf-8") == exported_page(), (
        "run python -m pipelines.docs_exported > docs/exported-metrics.md"
    )


def test_help_and_the_page_explain_every_exit_code() -> None:
    assert set(EXIT_CODES) == {*map(int, ExitCode), KILLED}
    shown = build_parser("1").format_help()
    for code, meaning in EXIT_CODES.items():
        assert f"  {code:<4}{meaning}" in shown
        assert f"| {code:d} | {meaning} |" in cli_page()


def test_one_version_is_built_tagged_and_printed() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
    assert f"ARG VERSION={VERSION}\n" in (PROJECT / "Dockerfile").read_text(encoding="utf-8")


def test_every_designed_command_exists() -> None:
    designed = set()
    for line in DESIGNED.split("\n"):
        *words, last = line.split(" ")
        designed |= {" ".join([*words, name]) for name in last.split("|") if name}
    found = {parser.prog for parser in all_parsers(build_parser("1"))}
    assert designed <= found


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    code = "import sys, pipelines.cli\ntry: pipelines.cli.main(['run', '--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"pydantic", "numpy", "pandas", "kfp", "yaml", "tensorflow"}
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime < 0.3
