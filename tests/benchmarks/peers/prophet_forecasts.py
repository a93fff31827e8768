"""Prophet's forecasts of every series after a cutoff, one fit each; runs in an environment that has Prophet.

Reads a CSV `series,ds,y,<regressors>` and writes `series,ds,yhat` of the rows from the cutoff on.
"""

import argparse
import logging

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
    parts = []
    for name, rows in table.groupby("series"):
        model = Prophet()
        for regressor in regressors:
            model.add_regressor(regressor)
        model.fit(rows[rows.ds < arguments.cutoff].drop(columns="series"))
        ahead = rows[rows.ds >= arguments.cutoff]
        parts.append(pd.DataFrame({"series": name, "ds": ahead.ds, "yhat": model.predict(ahead).yhat.to_numpy()}))
    pd.concat(parts).to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
