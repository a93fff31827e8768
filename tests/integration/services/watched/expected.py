"""Which part of the story moves each panel, and which panels none moves, with the reason. docs/dashboards.md says the same."""

MOVED_BY = {
    "overview": {
        "slow": ("99th percentile", "Burn rate of the latency budget", "Alerts", "Requests"),
        "drifted": ("Error, 1 d", "Skill against naive, 7 d"),
        "promoted": ("Champion",),
        "no server": (
            "Processes up", "Error budget left, 30 d", "Burn rate of the error budget",
            "Share of the fallback",
        ),
    },
    "serving": {
        "slow": ("Requests by code", "Requests by route", "Duration", "Series forecast", "Forecast log"),
        "no data": ("Observations posted",),
        "strange": ("Refused by reason", "Series a request"),
        "promoted": ("Versions served", "Read since", "Reading a version", "Requests by version", "Judgement"),
        "no server": (
            "Error ratio", "Answered by the fallback", "Who answers", "Requests to the candidate", "Model's time", "Requests",
            "Request latency", "Runtime latency", "Time in the batch queue", "Batch size", "Loads", "Latency by version",
            "In flight in the embedded server",
        ),
        "no monitor": ("CPU", "Memory", "Open files", "Builds"),
    },
    "quality": {
        "drifted": (
            "Error, 1 d, and of the backtest", "Error over that of the backtest", "Error by version and role",
            "Root mean squared error, 1 d", "Bias, 1 d and 7 d", "Over and under", "Skill against naive",
            "Error of the naive and of the model", "Coverage", "Covered points", "Pinball loss",
        ),
        "no data": ("Delay of actual values", "Latest step scored"),
        "no monitor": ("Points scored, 1 h", "Actual values that score nothing, or again"),
    },
    "data": {
        "bad table": ("Series", "Rows", "Rules that the table breaks"),
        "drifted": ("Stability index", "Kolmogorov-Smirnov"),
        "no data": ("Age of the newest target", "Observations posted", "Forecasts against the past target"),
        "no monitor": ("Missing values", "Values compared", "Last measured"),
    },
    "pipeline": {
        "refused": (
            "Last run", "Last success", "Status", "Duration", "Duration of steps", "Candidate, champion and naive", "Gates passed",
            "Room under the limits",
        ),
        "drifted": ("Requests by state", "Oldest open request", "Asked for"),
        "strange": ("Runs of the worker, 1 d",),
        "no worker": ("Worker last seen",),
        "no monitor": ("Rounds", "Duration of a round", "Last round", "Monitors that score"),
    },
}  # fmt: skip
"""Titles by dashboard and part: what differs at its end from the calm."""

NOT_MOVED = {
    ("overview", "Availability, 30 d"): "it falls by less than a quarter; the budget beside it moves",
    (
        "overview",
        "Coverage, 7 d",
    ): "seven days are eight minutes here, longer than the story; the coverage of a day moves",
    ("overview", "Age of the champion"): "both versions were made at once",
    ("data", "Data that the champion knows"): "both versions were made of one table",
    ("serving", "In flight"): "moves with load only",
    ("serving", "Answers that were no forecast"): "no fault here makes a model answer what is no forecast",
    ("serving", "Forecasts not written yet"): "the store is never away",
    ("serving", "Gateways that write forecasts"): "the thread that writes never dies",
    ("serving", "Versions that could not be read"): "every version can be read",
    ("serving", "Error of the candidate over the champion's"): "the candidate is not judged by its error; no data",
    ("serving", "Refused"): "the model server refuses nothing; no data",
    ("serving", "Failed loads"): "every version can be loaded; no data",
    ("quality", "Width of intervals"): "the model's intervals are as wide for any data",
}
"""Panels that no fault moves, with the reason."""

WITHOUT_DATA = {
    ("serving", "Error of the candidate over the champion's"),
    ("serving", "Refused"),
    ("serving", "Failed loads"),
}

WAVERING = {
    ("overview", "99th percentile"), ("serving", "Duration"), ("serving", "CPU"), ("serving", "In flight"), ("serving", "Model's time"),
    ("serving", "Request latency"), ("serving", "Runtime latency"), ("serving", "Time in the batch queue"), ("serving", "Latency by version"),
    ("serving", "Batch size"), ("serving", "In flight in the embedded server"), ("pipeline", "Duration of a round"),
    ("serving", "Reading a version"), ("quality", "Delay of actual values"), ("quality", "Bias, 1 d and 7 d"), ("data", "Stability index"), ("data", "Kolmogorov-Smirnov"),
    ("data", "Forecasts against the past target"), ("quality", "Latest step scored"), ("data", "Age of the newest target"),
    ("data", "Last measured"), ("pipeline", "Last round"), ("pipeline", "Rounds"), ("pipeline", "Worker last seen"),
}  # fmt: skip
"""Panels that need not be flat in the calm: the load of the machine moves them too, ages of what comes every second among them, or they
waver, being of 200 values or the mean of errors about zero."""
