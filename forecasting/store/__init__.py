"""The tables of the service: forecasts, observations, retrain requests, in SQLite or PostgreSQL.

    opening.py      open_store: engine, migrations, who may write
    tables.py       every table and what its columns hold
    packing.py      arrays as bytes
    forecasts.py    write and read forecasts
    observations.py write observations, read the recent history of many series
    live_scores.py  what forecasts were scored with, the sums of it, and who may score
    retrain_asking.py    whether a reason to train again becomes a request
    retrain_requests.py  claim requests, renew the lease, close them

Times are UTC epoch seconds.
"""
