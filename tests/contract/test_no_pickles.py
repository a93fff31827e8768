"""No module of ours reads or writes pickles or makes layers of code, but for one that is named with its reason."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.contract.pickles import pickled_files, uses_of_pickles

ROOT = Path(__file__).parents[2]
PACKAGES = ("forecasting", "components", "pipelines", "serving", "infra")
EXCEPTIONS = {
    # What a pass of Beam has counted, in a scratch file of the step's own that it deletes at once.
    "components/features/beam_job.py": {"pickle"},
}


def test_no_module_reads_or_writes_pickles_or_makes_layers_of_code():
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if used := set(uses_of_pickles(path.read_text(encoding="utf-8"))):
                found[path.relative_to(ROOT).as_posix()] = used
    assert found == EXCEPTIONS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", ["pickle"]),
        ("from cloudpickle import dumps", ["cloudpickle"]),
        ("import joblib.parallel", ["joblib.parallel"]),
        ("np.load(path, allow_pickle=True)", ["allow_pickle"]),
        ("np.load(path, allow_pickle=flag)", ["allow_pickle"]),
        ("np.load(path, allow_pickle=False)", []),
        ("pd.read_pickle(path)", ["read_pickle"]),
        ("keras.layers.Lambda(lambda x: x)", ["Lambda"]),
        ("keras.models.load_model(path, safe_mode=False)", ["safe_mode=False"]),
        ("sorted(names, key=lambda name: name)", []),
    ],
)
def test_the_walk_sees_what_it_is_for(source, found):
    assert list(uses_of_pickles(source)) == found


def test_pickles_and_layers_of_code_are_found_by_their_content(tmp_path):
    (tmp_path / "weights").write_bytes(pickle.dumps({"a": np.zeros(3)}))
    (tmp_path / "model.json").write_text('{"layers": [{"class_name": "Lambda"}]}')
    (tmp_path / "named.pkl").write_bytes(b"")
    (tmp_path / "arrays.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "like").write_bytes(b"\x80\x04 and then something else")
    np.save(tmp_path / "objects.npy", np.zeros(3))
    assert [path.name for path in pickled_files(tmp_path)] == ["model.json", "named.pkl", "weights"]
