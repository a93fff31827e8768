"""The gateway asks every model server behind a name, not the first one alone."""

import asyncio

import grpc

from forecasting.repository import ModelRepository
from forecasting.wire.client import PREDICT_METHOD
from serving.gateway.forecaster import Forecaster
from serving.gateway.model_loader import ModelLoader, RolesWatch


class CountingServer:
    """Answers Predict with nothing and counts it."""

    def __init__(self) -> None:
        service, method = PREDICT_METHOD.strip("/").split("/")
        self.asked = 0
        self.server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(self._answer)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    async def _answer(self, _request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        self.asked += 1
        return b""


async def counts_of_twenty_requests(root) -> list[int]:
    servers = [CountingServer(), CountingServer()]
    for one in servers:
        await one.server.start()
    repository = ModelRepository(root)
    models = ModelLoader(lambda version: None, RolesWatch(repository, "demand"))
    address = "ipv4:" + ",".join(f"127.0.0.1:{one.port}" for one in servers)
    forecaster = Forecaster(
        "demand", repository, models, address, timeout_s=10, has_fallback=False, count=lambda cause, n: None
    )
    try:
        await forecaster._channel.channel_ready()
        # Until both are connected the first one answers alone.
        while not all(one.asked for one in servers):
            await forecaster._predict(b"", timeout=10, wait_for_ready=True)
            await asyncio.sleep(0.01)
        before = [one.asked for one in servers]
        for _ in range(20):
            await forecaster._predict(b"", timeout=10)
        return [one.asked - asked for one, asked in zip(servers, before, strict=True)]
    finally:
        await forecaster.close()
        for one in servers:
            await one.server.stop(None)


def test_two_servers_behind_one_name_are_asked_in_turn(tmp_path):
    assert asyncio.run(asyncio.wait_for(counts_of_twenty_requests(tmp_path), 60)) == [10, 10]
