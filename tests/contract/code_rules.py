"""Rules of our own for the source, for what bandit has no word for; `python -m tests.contract.code_rules` lists what breaks one."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.contract.pickles import uses_of_pickles

ROOT = Path(__file__).parents[2]
PACKAGES = ("forecasting", "components", "pipelines", "serving", "infra")
PICKLES_ALLOWED = {"components/features/beam_job.py"}
"""What a pass of Beam has counted, in a scratch file of the step's own that it deletes at once."""

_BANNED_CALLS = {
    "eval": "runs text",
    "exec": "runs text",
    "extractall": "writes wherever an archive says",
    "unpack_archive": "writes wherever an archive says",
    "mktemp": "names a file that somebody else may make first",
    "system": "asks a shell",
    "popen": "asks a shell",
    "py_function": "puts Python into a graph",
    "numpy_function": "puts Python into a graph",
    "load_library": "runs a library",
    "load_op_library": "runs a library",
    "load_delegate": "runs a library",
}
_OPEN_KEYWORDS = {("shell", True), ("verify", False), ("check_hostname", False)}


def broken_in_tree() -> list[str]:
    """Every broken rule of every module, as `path:line: why`."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
            found += [f"{name}:{broken}" for broken in broken_rules(source)]
            if name not in PICKLES_ALLOWED:
                found += [f"{name}: {word}: pickles, or layers of code" for word in uses_of_pickles(source)]
    return found


def broken_rules(source: str) -> Iterator[str]:
    """What a module says that none of ours may say, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from (f"{node.lineno}: {why}" for why in _call(node))
        elif isinstance(node, ast.Compare) and _compares_a_secret(node):
            yield f"{node.lineno}: a secret is compared in a time that depends on it; use hmac.compare_digest"
        elif isinstance(node, ast.Attribute) and node.attr == "environ" and isinstance(node.ctx, ast.Store):
            yield f"{node.lineno}: the environment is replaced"


def _call(node: ast.Call) -> Iterator[str]:
    name = _name(node.func)
    # A method of a table or a tensor may bear the name of a function that runs text.
    if name in _BANNED_CALLS and not (name in {"eval", "exec"} and isinstance(node.func, ast.Attribute)):
        yield f"{name} {_BANNED_CALLS[name]}"
    for keyword in node.keywords:
        if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in _OPEN_KEYWORDS:
            yield f"{keyword.arg}={keyword.value.value}"
    if name in {"debug", "info", "warning", "error", "exception", "critical"}:
        for inner in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if isinstance(inner, ast.Attribute) and inner.attr == "environ":
                yield "the environment is written to a log"
            if _is_secret(inner):
                yield f"{_name(inner)} is written to a log"


def _compares_a_secret(node: ast.Compare) -> bool:
    sides = [node.left, *node.comparators]
    is_equality = all(isinstance(operation, ast.Eq | ast.NotEq) for operation in node.ops)
    # A word that the source itself holds is no secret.
    return is_equality and any(map(_is_secret, sides)) and not any(isinstance(side, ast.Constant) for side in sides)


def _is_secret(node: ast.expr) -> bool:
    name = _name(node).lower()
    return any(name == word or name.endswith(f"_{word}") for word in ("token", "password", "secret", "private_key"))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


if __name__ == "__main__":
    faults = broken_in_tree()
    print("\n".join(faults) or "code rules: none is broken")
    sys.exit(bool(faults))
