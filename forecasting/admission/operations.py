"""What a model does, by the operations of its graph, against the list of those that a model may be made of."""

import tomllib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from forecasting.errors import ArtifactError, VersionRefusedError

OPERATIONS_FILE = Path(__file__).with_name("operations.toml")
FORBIDDEN, UNREADABLE = "forbidden_operation", "unreadable_graph"


@dataclass(frozen=True)
class AllowedOperations:
    """Names of operations; see `operations.toml`, which tells the groups of a SavedModel apart."""

    anywhere: frozenset[str]
    restoring: frozenset[str]
    saving: frozenset[str]
    lite: frozenset[str]

    def with_more(self, names: Iterable[str]) -> "AllowedOperations":
        """The same, and some more that a SavedModel or a TensorFlow Lite model may have anywhere."""
        more = frozenset(names)
        return AllowedOperations(self.anywhere | more, self.restoring, self.saving, self.lite | more)


@cache
def allowed_operations() -> AllowedOperations:
    """The list of this package."""
    document = tomllib.loads(OPERATIONS_FILE.read_text(encoding="utf-8"))
    graph = document["saved_model"]
    return AllowedOperations(
        anywhere=frozenset(graph["anywhere"]),
        restoring=frozenset(graph["restoring"]),
        saving=frozenset(graph["saving"]),
        lite=frozenset(document["lite"]["builtin"]),
    )


def read_more_operations(path: Path) -> AllowedOperations:
    """The list of this package and the names in a file, one a line; `#` begins a comment.

    Raises:
        OSError, UnicodeDecodeError: The file cannot be read.
    """
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return allowed_operations().with_more(filter(None, lines))


def check_saved_model(version_dir: Path, allowed: AllowedOperations) -> None:
    """Look at every node of a SavedModel and of its functions, before TensorFlow sees them.

    Raises:
        VersionRefusedError: An operation is not allowed where it stands, or the graph cannot be read.
    """
    # TensorFlow prefers this form to the others, and what it holds lies in pieces: nothing of ours writes it.
    if (pieces := version_dir / "saved_model.cpb").exists():
        raise VersionRefusedError(UNREADABLE, f"{pieces} must not be there: a graph in pieces is not looked through")
    for name in ("saved_model.pb", "saved_model.pbtxt"):
        path = version_dir / name
        if path.is_file():
            for graph in _read_saved_model(path).meta_graphs:
                _check_graph(graph, allowed, path)


def check_lite_model(path: Path, allowed: AllowedOperations) -> None:
    """Look at every kind of operation that a TensorFlow Lite file names.

    Raises:
        VersionRefusedError: An operation is not allowed, a custom one among them, or the file cannot be read.
    """
    from forecasting.wire.lite_signatures import operation_names

    try:
        names = operation_names(path.read_bytes())
    except (ArtifactError, OSError) as error:
        raise VersionRefusedError(UNREADABLE, f"cannot load {path}: {error}") from error
    if refused := sorted(set(names) - allowed.lite):
        raise _forbidden(path, refused[0])


def _read_saved_model(path: Path) -> Any:
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    from forecasting.wire.messages import SavedModel

    try:
        if path.suffix == ".pbtxt":
            return text_format.Parse(path.read_text(encoding="utf-8"), SavedModel())
        return SavedModel.FromString(path.read_bytes())
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise VersionRefusedError(
            UNREADABLE, f"{path} must be a SavedModel, found what cannot be parsed: {error}"
        ) from error


def _check_graph(graph: Any, allowed: AllowedOperations, path: Path) -> None:
    nodes = {node.name: node for node in graph.graph_def.node}
    functions = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    restoring = _reached([graph.saver_def.restore_op_name], nodes, functions)
    running = _reached(_run_names(graph), nodes, functions)
    whole = [*graph.graph_def.node, *(node for body in functions.values() for node in body)]
    # No registered operation begins with a small letter, so that no function can hide one behind its name.
    called = {name for name in functions if not name[:1].isupper()}
    for found, names in (
        (running, allowed.anywhere),
        (restoring, allowed.anywhere | allowed.restoring),
        (whole, allowed.anywhere | allowed.restoring | allowed.saving),
    ):
        for node in found:
            if node.op not in names and node.op not in called:
                raise _forbidden(path, node.op, node.name)


def _run_names(graph: Any) -> Iterator[str]:
    """Names of the tensors and nodes that a request or the loader runs, restoring apart."""
    for signature in graph.signature_def.values():
        for tensors in (signature.outputs, signature.inputs):
            for tensor in tensors.values():
                yield tensor.name
                # A sparse or composite tensor has several.
                yield from (tensor.coo_sparse.values_tensor_name, tensor.coo_sparse.indices_tensor_name)
                yield tensor.coo_sparse.dense_shape_tensor_name
                yield from (part.name for part in tensor.composite_tensor.components)
    for collection in graph.collection_def.values():
        yield from collection.node_list.value


def _reached(names: Iterable[str], nodes: Mapping[str, Any], functions: Mapping[str, Iterable[Any]]) -> list[Any]:
    """Nodes of the graph on which some of its nodes hang, and all nodes of the functions that those call."""
    waiting, seen, called, found = deque(names), set[str](), set[str](), list[Any]()
    while waiting:
        name = waiting.popleft().lstrip("^").partition(":")[0]
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        found.append(nodes[name])
        waiting.extend(nodes[name].input)
    # The list grows while it is gone through: functions call functions.
    for node in found:
        for function in _called(node):
            if function in functions and function not in called:
                called.add(function)
                found.extend(functions[function])
    return found


def _called(node: Any) -> Iterator[str]:
    yield node.op
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        yield from (function.name for function in attribute.list.func)


def _forbidden(path: Path, operation: str, node: str = "") -> VersionRefusedError:
    place = f" in node {node!r}" if node else ""
    return VersionRefusedError(
        FORBIDDEN,
        f"{path} must be made of operations on the list of those that a model may have, found {operation}{place}; "
        "a server that is to load it nevertheless takes further names by --allowed_operations_file",
    )
