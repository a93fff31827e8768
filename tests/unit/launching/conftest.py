"""A step that is launched in a fake Kubernetes: its directories, and a clock that passes where somebody waits."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from components.launching.job_run import Waiting
from components.launching.job_spec import LaunchSpec
from components.launching.launch_training import Launching, launch_training
from components.launching.launched_call import launched_folder
from forecasting.cache import STEP_KINDS
from forecasting.cluster_api.session import ApiAddressSpec
from forecasting.config import parse_config, step_settings
from forecasting.config.cluster import ClusterConfig
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.manifests import write_manifest
from forecasting.steps import StepContext, StepOutcome
from tests.unit.launching.fake_kubernetes import POD, FakeKubernetes
from tests.unit.training.small_run import SETTINGS

RUN = "almanac-toy-x"
IMAGE = "registry.example/almanac@sha256:" + "0" * 64


@dataclass
class Clock:
    """Seconds that pass only where somebody waits; every look at it takes a hundredth."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Launched:
    """The step train_model of one run, launched by `attempt`."""

    root: Path
    settings: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.context = StepContext(
            home_layout(self.root), home_layout(self.root).run(RUN), "2026-01-01T00:00:00+00:00", 1.0
        )
        self.folder = launched_folder(self.context.run.checkpoint(StepName.TRAIN_MODEL))
        features = self.context.run.step(StepName.BUILD_FEATURES)
        features.mkdir(parents=True)
        (features / "x").write_text("features")
        write_manifest(features, STEP_KINDS[StepName.BUILD_FEATURES], parents={})
        self.inputs = {StepName.BUILD_FEATURES: features}
        self.set_key("key-1")
        self.clock = Clock()

    def set_key(self, key: str) -> None:
        """The key of the step, as the runner of steps writes it."""
        checkpoint = self.context.run.checkpoint(StepName.TRAIN_MODEL)
        checkpoint.mkdir(parents=True, exist_ok=True)
        (checkpoint / "key").write_text(key)

    def chief_writes(self, fake: FakeKubernetes) -> None:
        """What the chief leaves when all went well, and what its job says then."""
        self.folder.begin_output()
        (self.folder.output / "saved_model").mkdir()
        (self.folder.output / "saved_model" / "saved_model.pb").write_text("model")
        (self.folder.output / "report.json").write_text("{}")
        self.folder.write_outcome(StepOutcome(passed=True, summary="12 parameters, 2 replicas"))
        fake.condition(fake.kind().ended, "AllDone")

    def cluster(self, **training: object) -> ClusterConfig:
        """The section, with some settings of `training`."""
        chosen = {"launcher": "trainjob", "workers": 2, **self.settings, **training}
        return ClusterConfig.model_validate({"training": chosen, "api": {"patience": "5s", "request_timeout": "5s"}})

    def attempt(self, url: str, output: Path | None = None, **training: object) -> StepOutcome:
        """Launch the step once."""
        place = output or self.root / "partial"
        place.mkdir(exist_ok=True)
        waiting = Waiting(clock=self.clock, sleep=self.clock.sleep, look_s=1, log_pause_s=0.02)
        settings = step_settings(parse_config(SETTINGS, source="toy"), StepName.TRAIN_MODEL)
        return launch_training(
            settings, self.inputs, place, self.context,
            launch=LaunchSpec(self.cluster(**training), IMAGE), launching=Launching(ApiAddressSpec(url), waiting),
        )  # fmt: skip

    @property
    def call(self) -> dict:
        """What the workers were told."""
        return json.loads(self.folder.call.read_text())


@pytest.fixture(params=["trainjob", "tfjob"])
def launched(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launched:
    """By each kind of job."""
    monkeypatch.setenv("ALMANAC_POD", POD)
    return Launched(tmp_path, {"launcher": request.param})


@pytest.fixture
def by_trainjob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launched:
    monkeypatch.setenv("ALMANAC_POD", POD)
    return Launched(tmp_path)
