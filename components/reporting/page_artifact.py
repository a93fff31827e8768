"""The page of a run as an HTML artifact of Kubeflow Pipelines."""

import shutil
from pathlib import Path

from forecasting.contracts.artifacts import RUN_REPORT_FILE
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName


def copy_page(home: str, run: str, place: str) -> None:
    """Copy report.html of a run to where an artifact lies.

    A copy and no link: Kubeflow uploads the file from there, and shows it without the run directory beside it.

    Args:
        home: ALMANAC_HOME.
        run: Name of the run, whose report_run has finished.
        place: Local path of the artifact.
    """
    target = Path(place)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(home_layout(home).run(run).step(StepName.REPORT_RUN) / RUN_REPORT_FILE, target)
