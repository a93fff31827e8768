"""The worked case of docs/tuning.md in short: its configuration on the temperature of Victoria, through all stages."""

import csv
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.integration.load_home import LoadHome, document

PUBLISHED = Path("../shared/data/vic_electricity.csv")
N_DAYS = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PUBLISHED.exists(), reason="needs ../shared/data/vic_electricity.csv"),
]

SHORTER = {
    "tuning.n_trials": 1, "tuning.finalists": 1, "tuning.finalist_seeds": 2, "split.validation": "6d", "split.test": "6d",
    "training.max_epochs": 1, "training.max_steps_per_epoch": 4,
}  # fmt: skip
SPACE = {"training.batch_size": {"choices": [32, 64]}, "model.units": {"choices": [16, 24]}}


def example() -> str:
    """The configuration that the page shows."""
    page = Path("docs/tuning.md").read_text(encoding="utf-8")
    begin = page.index("    name: temperature\n")
    lines = page[begin:].splitlines()
    n = next(i for i, line in enumerate(lines) if line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[:n]))


def write_temperature(path: Path) -> None:
    """Half-hourly temperature and demand."""
    with PUBLISHED.open(encoding="utf-8") as file:
        rows = [(row["Time"], row["Temperature"], row["Demand"]) for row, _ in zip(csv.DictReader(file), range(N_DAYS * 48), strict=False)]  # fmt: skip
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("time", "temperature", "demand"), *rows])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> LoadHome:
    """A home in which the search was made, with fewer values, trials and steps."""
    folder = tmp_path_factory.mktemp("temperature")
    write_temperature(folder / "temperature.csv")
    config = yaml.safe_load(example())
    config["tuning"]["space"] = SPACE
    (folder / "temperature.yaml").write_text(yaml.safe_dump(config))
    made = LoadHome(folder, folder / "home")
    words = [word for path, value in SHORTER.items() for word in ("--set", f"{path}={value}")]
    process = made.start("tune", "-c", "temperature.yaml", *words)
    said = process.communicate(timeout=900)[1]
    assert process.returncode == 0, said
    return made


def test_the_search_goes_through_all_stages(home: LoadHome) -> None:
    report = document(home.home / "tuning/temperature/trials.json")
    stages = list(dict.fromkeys(trial["stage"] for trial in report["trials"]))
    assert stages == ["baseline", "one at a time", "joint", "architecture", "finalist"]
    assert {trial["outcome"] for trial in report["trials"]} == {"scored"}
    assert sorted(report["searched"]) == sorted(SPACE)


def test_the_winner_is_written_with_the_mean_of_its_seeds(home: LoadHome) -> None:
    (winner,) = document(home.home / "tuning/temperature/trials.json")["finalists"]
    assert winner["mean"] == pytest.approx(sum(winner["values"]) / 2)
    assert f"over 2 seeds, trial {winner['trial']}" in (home.folder / "temperature.tuned.yaml").read_text()


def test_the_page_has_the_pictures_and_tables_that_the_example_shows(home: LoadHome) -> None:
    page = (home.home / "tuning/temperature/tuning.html").read_text()
    for title in ("Finalists", "History", "What matters", "One at a time", "Architectures"):
        assert f"<h2>{title}</h2>" in page
    assert page.count('class="configured"') == len(SPACE)
