"""Every table of the store. This is the one place that says how rows are laid out.

forecasts — one row for each series of a request and role; 24 steps of 3 quantiles are 288 bytes, not 72 rows
    created_at   when it was answered; the partitions of PostgreSQL are by this
    request      the client's id of the request, a slash, and an id that no other answer has; champion and shadow of one request
                 share it
    role         `ForecastRole`
    model, version, series
    origin       first step of the forecast
    step_s, n_steps
    levels       quantile levels, float64 × Q
    answers      float32 × n_steps × A, row by row; A is Q, or Q + 1 where the mean comes last; NULL where there is no answer
    flags        sum of 1 degraded, 2 imputed, 4 stale
    latency_us   time of the model's answer; NULL where it was not measured
    problem      why there is no answer, or why the fallback gave it; NULL where nothing was wrong
    scored       what it was scored with so far: float64 × 2 × n_steps, the actual of each step (NaN: not yet; infinite: it never
                 is), then the seasonal naive forecast; NULL as long as no monitor has looked at it

observed_columns — one row for each column of a series that was ever observed
    key          short name of the rest of the row in the tables below
    model, series, name
    step_s, phase_s   its grid: every time is phase_s more than a multiple of step_s

observation_blocks — one row for `BLOCK_STEPS` steps of an observed column: what is known now
    block_start  time of the first step, whose number on the grid is a multiple of BLOCK_STEPS; the partitions are by this
    key
    numbers      float64 × BLOCK_STEPS, NaN where there is none
    known_at     int64 × BLOCK_STEPS: since when each is known; `NOT_OBSERVED` where nothing ever was

superseded_observations — one row for a value that is no longer the one of observation_blocks
    key, time, known_at, number (NULL: it was stated to be missing)

observation_posts — one row for each write with an idempotency key, so that a repetition of it changes nothing
    idempotency_key, digest (of its content), created_at, n_written

observation_revisions — one row a model
    revision     how often its observations changed

observation_changes — one row for each revision that no monitor has looked at yet
    model, revision
    created_at   when it was written
    spans        int64 × 3 × n: keys of the columns that changed, ascending, the first step of each that has another value now,
                 and the last one

retrain_requests — one row a request
    id           in the order of arrival
    created_at, model
    reason       in words
    source       who asks
    dedup_key    no two open requests of a model share one
    state        `RequestState`
    lease_owner, lease_until   the worker that has it, and until when it is taken for alive; of one that waits, when it may
                 be claimed again
    attempts     how often it was claimed
    run          the run it became; NULL before
    finished_at, detail

monitor_sums — one row for a sum over everything that was scored; see `forecasting.contracts.metric_names`
    model, version, role, horizon   of what; version 0 and empty words where it is of all of them
    name, part   of the metric, and its last label, such as a quantile level
    total        the sum now; lower than before where an actual was corrected
    peak         the most that it ever was, which is what a counter shows
    updated_at

monitor_leases — one row a model: who monitors it
    model, owner, lease_until

monitor_marks — one row a model: what was looked at, so that a round looks at what changed since
    revision     of the observations
    targets      which table of which version lay under them
    since        origins before this one were left out, as too old
    reach_s      the longest horizon of a forecast that was looked at

Packed arrays are little-endian. Strings are as the model has them.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()
_ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is INTEGER."""

_NEVER_SEEN = text("answers IS NOT NULL AND scored IS NULL")

FORECASTS = Table(
    "forecasts",
    METADATA,
    Column("created_at", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("origin", BigInteger, nullable=False),
    Column("step_s", BigInteger, nullable=False),
    Column("n_steps", Integer, nullable=False),
    Column("levels", LargeBinary, nullable=False),
    Column("answers", LargeBinary),
    Column("flags", SmallInteger, nullable=False),
    Column("latency_us", BigInteger),
    Column("problem", Text),
    Column("scored", LargeBinary),
    # By time first, so that rows are appended to the index and not spread over it.
    PrimaryKeyConstraint("created_at", "request", "role", "series"),
    Index("forecasts_of_series", "model", "series", "origin"),
    Index("forecasts_of_origin", "model", "origin"),
    Index("forecasts_not_looked_at", "model", "origin", sqlite_where=_NEVER_SEEN, postgresql_where=_NEVER_SEEN),
    postgresql_partition_by="RANGE (created_at)",
)

OBSERVED_COLUMNS = Table(
    "observed_columns",
    METADATA,
    Column("key", _ROW_NUMBER, primary_key=True),
    Column("model", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("step_s", BigInteger, nullable=False),
    Column("phase_s", BigInteger, nullable=False),
    UniqueConstraint("model", "step_s", "phase_s", "series", "name"),
)

OBSERVATION_BLOCKS = Table(
    "observation_blocks",
    METADATA,
    Column("block_start", BigInteger, nullable=False),
    Column("key", BigInteger, nullable=False),
    Column("numbers", LargeBinary, nullable=False),
    Column("known_at", LargeBinary, nullable=False),
    PrimaryKeyConstraint("key", "block_start"),
    postgresql_partition_by="RANGE (block_start)",
)

SUPERSEDED_OBSERVATIONS = Table(
    "superseded_observations",
    METADATA,
    Column("key", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("known_at", BigInteger, nullable=False),
    Column("number", Double),
    PrimaryKeyConstraint("key", "time", "known_at"),
)

OBSERVATION_POSTS = Table(
    "observation_posts",
    METADATA,
    Column("idempotency_key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("n_written", BigInteger, nullable=False),
)

OBSERVATION_REVISIONS = Table(
    "observation_revisions",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

OBSERVATION_CHANGES = Table(
    "observation_changes",
    METADATA,
    Column("model", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("spans", LargeBinary, nullable=False),
    PrimaryKeyConstraint("model", "revision"),
)

_OPEN = text("state IN ('waiting', 'claimed')")

RETRAIN_REQUESTS = Table(
    "retrain_requests",
    METADATA,
    Column("id", _ROW_NUMBER, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("dedup_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("run", Text),
    Column("finished_at", BigInteger),
    Column("detail", Text),
    Index("retrain_requests_open", "model", "dedup_key", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
)

MONITOR_SUMS = Table(
    "monitor_sums",
    METADATA,
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    Column("horizon", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("total", Double, nullable=False),
    Column("peak", Double, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "version", "role", "horizon", "name", "part"),
)

MONITOR_LEASES = Table(
    "monitor_leases",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
)

MONITOR_MARKS = Table(
    "monitor_marks",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("targets", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("reach_s", BigInteger, nullable=False),
)
