"""The search of a run in a process of its own: `python -m pipelines.search_process HOME RUN SERIES OUTPUT`.

The step tune_model starts it. It writes what was found into OUTPUT, or says on its standard output, as JSON, which error there
was; it ends when its standard input does.
"""

import json
import sys
import threading
from pathlib import Path

from components.tuning.page import write_search
from forecasting.config import load_config
from forecasting.contracts.layout import home_layout
from forecasting.errors import AlmanacError
from forecasting.series_store import read_series_spec
from pipelines.trial_process import end_with_parent
from pipelines.tuning import run_tuning


def main(home: str, run: str, series: str, output: str) -> int:
    """Search for the best settings of a run.

    Args:
        home: ALMANAC_HOME.
        run: Name of the run, whose configuration is searched.
        series: Output of its validate_data.
        output: Existing folder for what is found.

    Returns:
        The exit code.
    """
    threading.Thread(target=end_with_parent, daemon=True).start()
    layout = home_layout(home)
    try:
        report = run_tuning(load_config(layout.run(run).config), layout, table=read_series_spec(Path(series)))
    except AlmanacError as error:
        print(json.dumps({"error": str(error), "kind": type(error).__name__}), flush=True)
        return int(error.exit_code)
    write_search(report, Path(output))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
