"""The life of a version, with a backend whose calls end when the test says so."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import ConfigError
from forecasting.wire.messages import VersionState
from serving.model_server.backends import Arrays, Backend
from serving.model_server.metrics import ServerMetrics
from serving.model_server.model_specs import VersionPolicySpec, present_versions, read_model_config
from serving.model_server.servables import LoadingConfig, ServableManager, ServedVersion


class _GatedBackend(Backend):
    """Runs until the gate opens; remembers what it was doing when it was closed."""

    def __init__(self) -> None:
        self.signatures = {}
        self.gate, self.running, self.closed_while_running = threading.Event(), False, None

    def run(self, signature, feeds: Arrays, fetches) -> Arrays:
        self.running = True
        self.gate.wait(10)
        self.running = False
        return {"quantiles": np.zeros(1, np.float32)}

    def close(self) -> None:
        self.closed_while_running = self.running


async def _unload_under_a_call(*, give_up: bool) -> _GatedBackend:
    manager, backend = ServableManager(LoadingConfig(), ServerMetrics()), _GatedBackend()
    served = ServedVersion("m", 1, Path("m/1"), state=VersionState.AVAILABLE, backend=backend)
    manager._versions["m"] = {1: served}
    call = asyncio.create_task(manager.run(served, None, {}, ("quantiles",)))
    while not backend.running:
        await asyncio.sleep(0.01)
    if give_up:
        call.cancel()
    poll = asyncio.create_task(manager.poll())
    await asyncio.sleep(0.1)
    assert served.state == VersionState.UNLOADING
    assert backend.closed_while_running is None
    backend.gate.set()
    await poll
    await asyncio.gather(call, return_exceptions=True)
    assert served.state == VersionState.END
    manager.close()
    return backend


def test_a_version_is_closed_only_after_its_last_request():
    assert asyncio.run(_unload_under_a_call(give_up=False)).closed_while_running is False


def test_a_version_is_not_closed_under_a_call_whose_client_went_away():
    assert asyncio.run(_unload_under_a_call(give_up=True)).closed_while_running is False


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (VersionPolicySpec(), (3,)),
        (VersionPolicySpec(latest=2), (2, 3)),
        (VersionPolicySpec(every=True), (1, 2, 3)),
        (VersionPolicySpec(specific=(1, 7)), (1,)),
    ],
)
def test_a_policy_chooses_versions(policy, wanted):
    assert policy.wanted([3, 1, 2]) == wanted


def test_version_directories_are_whole_numbers_with_or_without_leading_zeros(tmp_path):
    for name in ("00000123", "7", ".incoming-1", "8.tmp", "records"):
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("a file")
    assert sorted(present_versions(tmp_path)) == [7, 123]


def test_a_configuration_with_commas_colons_and_comments_is_read(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        'model_config_list: { config: { name: "a", base_path: "/x", model_platform: "tensorflow" }, # one\n'
        '  config: { name: "b", base_path: "/y", model_version_policy: { specific: { versions: 2 } },'
        ' version_labels { key: "stable" value: 2 } } }'
    )
    first, second = read_model_config(path)
    assert (first.name, first.base_path, first.policy) == ("a", Path("/x"), VersionPolicySpec())
    assert (second.policy.specific, second.labels) == ((2,), {"stable": 2})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('config { name: "a" base_path: "x" }', "must be absolute"),
        ('config { base_path: "/x" }', "must have a name"),
        ('config { name: "a" base_path: "/x" } config { name: "a" base_path: "/y" }', "name of its own"),
        ('config { name: "a" base_path: "/x" model_platform: "caffe" }', "must be \"tensorflow\", found 'caffe'"),
    ],
)
def test_a_configuration_that_cannot_be_served_is_refused(tmp_path, text, message):
    path = tmp_path / "models.config"
    path.write_text(f"model_config_list {{ {text} }}")
    with pytest.raises(ConfigError, match=message):
        read_model_config(path)
