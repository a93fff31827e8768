"""`almanac worker`: claims requests to train again and runs the pipeline for them.

worker.py         the loop: ask, claim, attend, close
reasons.py        what the worker asks for itself: schedule, new data
local_run.py      a run of the pipeline as a process of this machine
cluster_run.py    a run of the pipeline on a cluster, submitted under the name of the request
attended_run.py   that process: `almanac run`, which stops when its worker is gone
outcome.py        what a run that ended came to
"""
