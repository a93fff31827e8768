"""A short run of Schemathesis on the gateway's own document; `make fuzz` asks 20,000 times."""

import pytest

from tests.fuzz import gateway
from tests.unit.serving import tiny_models

pytestmark = pytest.mark.slow

N_SHORT = 200


def test_the_gateway_answers_as_its_document_says(tmp_path, request):
    cache = request.config.cache.mkdir("tiny-models")
    tiny_models.build(cache)
    with gateway.gateway(tmp_path, cache) as (url, _):
        report = gateway.FuzzReport()
        said = gateway.ask(url, report, n_cases=N_SHORT, seed=3)
    assert report.exit_code == 0, said[-4_000:]
    assert report.n_cases >= N_SHORT / 2
