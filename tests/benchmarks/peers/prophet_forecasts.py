"""Prophet's forecasts of every series after a cutoff, one fit each; runs in an environment that has Prophet.

Reads a CSV `series,ds,y,<regressors>`, rows of a series in order, and writes `series,ds,yhat` of the rows from the cutoff
on, in their order; prints what the fits took.
"""

import argparse
import json
import logging
import os

import pandas as pd
from prophet import Prophet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("out")
    parser.add_argument("--cutoff", required=True)
    arguments = parser.parse_args()
    logging.getLogger("cmdstanpy").setLevel(logging.WARNING)
    table = pd.read_csv(arguments.table, parse_dates=["ds"])
    regressors = [name for name in table.columns if name not in ("series", "ds", "y")]
    parts, fit_cpu_s = [], 0.0
    for name, rows in table.groupby("series"):
        model = Prophet()
        for regressor in regressors:
            model.add_regressor(regressor)
        began = cpu_s()
        model.fit(rows[rows.ds < arguments.cutoff].drop(columns="series"))
        fit_cpu_s += cpu_s() - began
        ahead = rows[rows.ds >= arguments.cutoff]
        parts.append(pd.DataFrame({"series": name, "ds": ahead.ds, "yhat": model.predict(ahead).yhat.to_numpy()}))
    pd.concat(parts).to_csv(arguments.out, index=False)
    print(json.dumps({"fit_cpu_s": round(fit_cpu_s, 1)}))


def cpu_s() -> float:
    """CPU seconds of this process and of those that it has started and waited for: the fit is one of them."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
