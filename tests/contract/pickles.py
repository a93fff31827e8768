"""Where pickles, and layers that hold code, could hide: in the source and in what a run leaves behind."""

import ast
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path

MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "pickletools"}
CALLS = {"read_pickle", "to_pickle", "Lambda", "enable_unsafe_deserialization", "unsafe_load", "full_load"}
_LAMBDA = re.compile(rb'"class_name"\s*:\s*"Lambda"')


def uses_of_pickles(source: str) -> Iterator[str]:
    """What a module of ours says that reads or writes pickles, or makes a layer of code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called = node.func
            name = (
                called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
            )
            if name in CALLS:
                yield name
            for keyword in node.keywords:
                is_false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "allow_pickle" and not is_false:
                    yield "allow_pickle"
                if keyword.arg == "safe_mode" and is_false:
                    yield "safe_mode=False"


def pickled_files(folder: Path) -> list[Path]:
    """Files below a folder that are pickles by name or content, or hold the configuration of a Lambda layer."""
    return [
        path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink() and _is_pickled(path)
    ]


def _is_pickled(path: Path) -> bool:
    if path.suffix in {".pkl", ".pickle", ".joblib", ".dill"}:
        return True
    content = path.read_bytes()
    return bool(_LAMBDA.search(content)) or _begins_a_pickle(content)


def _begins_a_pickle(content: bytes) -> bool:
    """Protocol 2 and later begin with their number; only those that parse to their end are taken for pickles."""
    if content[:1] != b"\x80" or content[1:2] not in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return False
    try:
        return any(operation.name == "STOP" for operation, _, _ in pickletools.genops(content))
    except ValueError:
        return False
