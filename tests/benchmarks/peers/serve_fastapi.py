"""A FastAPI endpoint around the same interpreter, as one would write it: orjson in, NumPy, orjson out. Prints its port."""

import socket
import sys

import numpy as np
import orjson
import uvicorn
from ai_edge_litert.interpreter import Interpreter
from fastapi import FastAPI, Request, Response


def make_app(path: str) -> FastAPI:
    """The application."""
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        document = orjson.loads(await request.body())
        inputs = {name: np.asarray(values, dtype=np.float32) for name, values in document["inputs"].items()}
        found = runner(**inputs)
        values = next(iter(found.values()))
        return Response(
            orjson.dumps({"outputs": values}, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
        )

    return app


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(make_app(sys.argv[1]), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
