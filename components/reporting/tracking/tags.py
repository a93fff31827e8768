"""Tags by which what was sent to a tracker is found again."""

RUN_TAG = "almanac.run"
PART_TAG = "almanac.part"
JOINED_TAG = "almanac.joined"
"""Of a run that somebody else opened, and that may hold what is not ours."""
