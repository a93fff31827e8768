"""Tables with several rows of one time: of one series, or of series that are not there together."""

from pathlib import Path

import pytest

from tests.unit.pipelines.initial.stores import store_of
from tests.unit.pipelines.initial.test_init import config_of, load, stamps, write


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rows_for_each_kind_of_weather_and_a_long_gap_are_one_series_that_validation_accepts(here, capsys):
    rows = {"time": [], "weather": [], "holiday": [], "traffic": []}
    for i, (time, count) in enumerate(zip(stamps(200 * 24, 60), load(200 * 24, 24), strict=True)):
        is_sparse = 2_400 <= i < 2_440 and i % 2
        for word in ("rain", "mist", "haze")[: 1 + (i % 7 == 0)] if not (1_000 <= i < 1_800 or is_sparse) else ():
            rows["time"].append(time)
            rows["weather"].append(word if i % 7 == 0 else ["sun", "clouds"][i // 5 % 2])
            rows["holiday"].append("Founding Day" if i == 480 else "None")
            rows["traffic"].append(count)
    config = config_of(write(here / "t.csv", rows))
    assert (config.data.id_columns, config.data.target, config.validation.duplicates) == ((), "traffic", "first")
    assert (config.data.observed, config.data.known) == (("weather",), ())
    assert config.validation.severity == {"frequency": "warn"}
    said = capsys.readouterr().err
    assert "568 rows repeat a time with other values, 100.0% of them with the same target" in said
    assert "the longest gap being 800h from 2023-02-11 16:00 UTC on" in said
    assert "features.holidays gives a flag for the whole day" in " ".join(
        Path("made.yaml").read_text().replace("#", " ").split()
    )
    assert len(store_of(config).series) == 1


def test_series_that_end_before_the_test_period_are_counted_and_said_what_to_do_with(here, capsys):
    rows = {"time": [], "id": [], "load": []}
    for i, name in enumerate("abcde"):
        times = stamps((140 + 40 * i) * 24, 60)[40 * i * 24 :]
        rows["time"] += times
        rows["id"] += [name] * len(times)
        rows["load"] += load(len(times), 24, seed=i)
    config_of(write(here / "t.csv", rows))
    said = capsys.readouterr().err
    assert "check split: only 1 of 5 series reach into the test period, and errors and gates are of these alone" in said
    assert "move each in the table by whole weeks so that all end together" in said
