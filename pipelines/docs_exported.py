"""Writes docs/exported-metrics.md: `python -m pipelines.docs_exported > docs/exported-metrics.md`."""

from forecasting.contracts.metric_names import METRICS
from forecasting.contracts.metric_spec import MetricSource, MetricSpec

PREAMBLE = """\
# Prometheus metrics

Every metric that Almanac exposes (`forecasting/contracts/metric_names.py`). The model server's own are in
[model-server.md](model-server.md); what makes the monitor's is in [monitoring.md](monitoring.md). A histogram has `_bucket`, `_sum` and
`_count` behind its name. No label holds a series, a request or what a client wrote.

This page is made by `python -m pipelines.docs_exported`; a test holds it equal to the code.
"""

_TITLES = {
    MetricSource.GATEWAY: "Gateway: `/metrics` on its own port",
    MetricSource.MONITOR: "`almanac monitor`: port 9102",
    MetricSource.PIPELINE: "A run of the pipeline: metrics.prom of its report, textfile, Pushgateway",
    MetricSource.WORKER: "`almanac worker`",
}


def exported_page() -> str:
    """The whole page in Markdown."""
    return "\n".join([PREAMBLE, *(_section(source) for source in MetricSource)])


def _section(source: MetricSource) -> str:
    rows = [_row(metric) for metric in METRICS.values() if source in metric.sources]
    return "\n".join(
        [f"## {_TITLES[source]}", "", "| metric | kind | labels | unit | meaning |", "|---|---|---|---|---|", *rows, ""]
    )


def _row(metric: MetricSpec) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.exposed}` | {metric.kind} | {labels} | {metric.unit} | {metric.help} |"


if __name__ == "__main__":
    print(exported_page(), end="")
