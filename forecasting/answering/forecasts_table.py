"""Forecasts as an Arrow table."""

from dataclasses import asdict

import numpy as np
import orjson
import pyarrow as pa

from forecasting.answering.forecasts import ForecastsRecord

SERIES, TIMESTAMP = "series", "timestamp"
SKIPPED = "skipped"
"""In the metadata of the schema: series without a forecast, as JSON."""
SECONDS = pa.timestamp("s", tz="UTC")


def forecasts_table(found: ForecastsRecord) -> pa.Table:
    """Forecasts in long form: one row a series and step; what holds for all is in the metadata of the schema."""
    served, n_steps = found.served, found.served.spec.horizon
    each = np.repeat(np.arange(len(found)), n_steps)
    places, flags = range(len(found)), {"imputed": found.imputed, "stale": found.stale}
    degraded = np.array([i in found.degraded for i in places], dtype=np.bool_)
    reasons = [found.degraded[i].reason if i in found.degraded else None for i in places]
    limits = [found.limited_by.get(i) for i in places]
    columns = {
        SERIES: pa.DictionaryArray.from_arrays(pa.array(each, pa.int32()), pa.array(found.ids, pa.string())),
        TIMESTAMP: pa.array(found.times().ravel()).cast(SECONDS),
        **{name: pa.array(np.ascontiguousarray(values).ravel()) for name, values in found.columns().items()},
        "origin": pa.array(found.origins[each]).cast(SECONDS),
        "degraded": pa.array(degraded[each]),
        **{name: pa.array(values[each]) for name, values in flags.items()},
        "reason": pa.array(reasons, pa.string()).dictionary_encode().take(pa.array(each)),
        "limited_by": pa.array(limits, pa.string()).dictionary_encode().take(pa.array(each)),
    }
    spec = served.spec
    about = {"model": served.name, "version": str(served.version), "target": spec.target, "step_s": str(spec.step_s)}
    about["role"] = found.role.value
    about[SKIPPED] = orjson.dumps([asdict(one) for one in found.skipped]).decode()
    return pa.table(columns).replace_schema_metadata(about)
