"""The descriptor of the gateway's gRPC messages, made from `forecasts.proto`.

`python -m tests.contract.forecasts_descriptor` writes `serving/gateway/rpc/forecasts.binpb`.
"""

import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

import serving.gateway.rpc

FOLDER = Path(serving.gateway.rpc.__file__).parent
TARGET = FOLDER / "forecasts.binpb"


def compiled() -> bytes:
    """The set of one file, without comments."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        includes = [f"-I{FOLDER}", f"-I{files('grpc_tools') / '_proto'}"]
        # In a process of its own: beside TensorFlow, which has a protobuf library too, it would crash.
        command = [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            *includes,
            f"--descriptor_set_out={out}",
            "forecasts.proto",
        ]
        subprocess.run(command, check=True)
        return FileDescriptorSet.FromString(out.read_bytes()).SerializeToString(deterministic=True)


if __name__ == "__main__":
    TARGET.write_bytes(compiled())
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
