"""Covariates that a proposal leaves out for what their values are."""

import numpy as np
import pytest

from tests.unit.pipelines.initial.test_init import config_of, load, stamps, write

N = 600


def proposed(here, name, values):
    table = {"day": stamps(N, 1440), "sales": load(N, 7), name: values}
    return config_of(write(here / "t.csv", table)), (here / "made.yaml").read_text()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_covariate_that_goes_where_it_never_was_is_left_out(here):
    config, text = proposed(here, "price_index", [f"{200 + 0.05 * i:.2f}" for i in range(N)])
    assert config.data.observed == ()
    assert (
        "not used: price_index (it drifts: 100% of its values in the last 25% of the series are beyond all before)"
        in text
    )


def test_a_covariate_that_comes_back_to_where_it_was_stays(here):
    config, _ = proposed(here, "air", [f"{20 + 10 * np.sin(i / 40):.2f}" for i in range(N)])
    assert config.data.observed == ("air",)


def test_a_covariate_that_began_late_is_left_out(here):
    values = ["" if i < 400 else f"{(i * 7) % 13}.5" for i in range(N)]
    config, text = proposed(here, "markdown", values)
    assert config.data.observed == ()
    assert "not used: markdown (89% of its values are missing in the first 75% of the series)" in text
