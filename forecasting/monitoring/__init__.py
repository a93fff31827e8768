"""The mathematics of monitoring: forecasts against what came, and what comes in against what was learnt from.

    horizons.py      buckets of the horizon
    live_sums.py     terms of scored points, summed by bucket
    score_changes.py what a block of forecasts is scored with now, and what that changes
    drift.py         PSI, and the summary of a distribution that it and KS are measured against

Pure functions of arrays; `serving/monitor` reads, writes and exposes.
"""
