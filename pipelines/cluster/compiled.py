"""Pipelines as text for a cluster, looked over before anybody gets them."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from kfp import compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions
from kfp.dsl.base_component import BaseComponent

from components.batch.component import forecast_batch
from components.reporting.component import record_refusal
from forecasting.config import AlmanacConfig
from forecasting.contracts.steps import GATES, StepName
from forecasting.errors import ConfigError
from forecasting.manifests import digest_text
from forecasting.sources import local_path
from pipelines.batch_graph import build_batch_pipeline
from pipelines.cluster.argo import argo_documents
from pipelines.cluster.argo_batch import argo_batch_documents
from pipelines.cluster.argo_resources import as_text
from pipelines.cluster.lint import FaultKind, FaultRecord, lint_images, lint_pipeline
from pipelines.cluster.task_settings import batch_settings, task_settings
from pipelines.graph import COMPONENTS, build_cluster_pipeline, worker_image

_LONGEST_NAME, _LONGEST_NAME_OF_BATCHES = 44, 34
"""A CronWorkflow has 52 characters at most, so that a time fits behind them; eight are `almanac-`, ten `-forecasts`."""


def compiled_kfp(config: AlmanacConfig, *, batch: bool = False, pinned: bool = True, resources: bool = False) -> str:
    """A pipeline for Kubeflow Pipelines.

    Args:
        config: The configuration.
        batch: The pipeline forecast_batch; else that of a run.
        pinned: Refuse images without digest.
        resources: As its resources Pipeline and PipelineVersion; else as the intermediate representation that is uploaded.

    Raises:
        ConfigError: The pipeline has a fault that a backend would pass over in silence, or a table lies where no pod can read it.
    """
    run, batches = task_settings(config), batch_settings(config)
    _check_name(config)
    if not batch:
        _check_tables(config)
    pipeline = build_batch_pipeline(config, batches) if batch else build_cluster_pipeline(config, run)
    gates = () if batch else tuple(gate.value.replace("_", "-") for gate in GATES)
    text = _written(lambda path: compiler.Compiler().compile(pipeline, path))
    workers = {"the workers of train_model": worker_image()} if config.cluster.training.launched and not batch else {}
    faults = lint_pipeline(next(iter(yaml.safe_load_all(text))), gates) + lint_images(workers)
    _refuse_faults(faults, pinned=pinned)
    if not resources:
        return text
    options = KubernetesManifestOptions(
        pipeline_name=pipeline.name,
        # By content: the resource may not be changed once it is there.
        pipeline_version_name=f"{pipeline.name}-{digest_text(text)[:10]}",
        namespace=config.cluster.namespace,
        include_pipeline_manifest=True,
    )
    return _written(
        lambda path: compiler.Compiler().compile(
            pipeline, path, kubernetes_manifest_format=True, kubernetes_manifest_options=options
        )
    )


def compiled_argo(config: AlmanacConfig, *, batch: bool = False, pinned: bool = True) -> str:
    """A pipeline for Argo Workflows.

    Args:
        config: The configuration.
        batch: The pipeline forecast_batch; else that of a run.
        pinned: Refuse images without digest.

    Raises:
        ConfigError: An image has no digest, or a table lies where no pod can read it.
    """
    _check_name(config, _LONGEST_NAME_OF_BATCHES if batch else _LONGEST_NAME)
    if batch:
        image = forecast_batch.component_spec.implementation.container.image
        _refuse_faults(lint_images({"forecast_batch": image}), pinned=pinned)
        return as_text(argo_batch_documents(config, image))
    _check_tables(config)
    components: list[tuple[StepName | None, BaseComponent]] = [(None, record_refusal), *COMPONENTS.items()]
    images = {step: found.component_spec.implementation.container.image for step, found in components}
    _refuse_faults(lint_images({step or "begin_run": image for step, image in images.items()}), pinned=pinned)
    return as_text(argo_documents(config, images))


def _check_tables(config: AlmanacConfig) -> None:
    """Refuse what only this machine has: a pod would not find it, and another machine would compile another pipeline."""
    places = {
        "data.uri": config.data.uri,
        "data.events.uri": config.data.events.uri if config.data.events else None,
        "data.vintages.uri": config.data.vintages.uri if config.data.vintages else None,
    }
    for key, uri in places.items():
        path = None if uri is None else local_path(uri)
        if path is not None and not path.is_relative_to(config.cluster.home):
            raise ConfigError(
                f"{key} must be an address that a pod can read, or a path under cluster.home ({config.cluster.home}), found {path}"
            )


def _check_name(config: AlmanacConfig, longest: int = _LONGEST_NAME) -> None:
    if len(config.name) > longest or config.name.endswith("-"):
        raise ConfigError(
            f"name must have at most {longest} characters on a cluster and not end in a dash, found {config.name!r}"
        )


def _refuse_faults(faults: list[FaultRecord], *, pinned: bool) -> None:
    left = [fault for fault in faults if pinned or fault.kind != FaultKind.UNPINNED_IMAGE]
    if left:
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        raise ConfigError(f"{left[0].text}{more}; --image and cluster.images name images, --allow-tags takes tags")


def _written(compile_to: Callable[[str], None]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_to(str(path))
        return path.read_text(encoding="utf-8")
