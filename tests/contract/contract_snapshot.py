"""Everything public in `forecasting.contracts` as JSON, and the golden file that freezes it.

`python -m tests.contract.contract_snapshot` writes the golden file, and refuses to when the contract
changed but `CONTRACT_VERSION` did not.
"""

import dataclasses
import enum
import importlib
import inspect
import json
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import forecasting.contracts

GOLDEN = Path(__file__).parent / "golden" / "contracts.json"


def snapshot() -> dict[str, Any]:
    """Constants, vocabularies, record fields and function signatures of every contract module."""
    names = sorted(found.name for found in pkgutil.iter_modules(forecasting.contracts.__path__))
    modules = {name: importlib.import_module(f"forecasting.contracts.{name}") for name in names}
    return {
        "contract_version": forecasting.contracts.CONTRACT_VERSION,
        "modules": {name: _module_snapshot(module) for name, module in modules.items()},
    }


def read_golden() -> dict[str, Any]:
    """The frozen contract."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def _module_snapshot(module: ModuleType) -> dict[str, Any]:
    found = {}
    for name, value in sorted(vars(module).items()):
        imported = getattr(value, "__module__", module.__name__) != module.__name__ and inspect.isroutine(value)
        if name.startswith("_") or inspect.ismodule(value) or imported:
            continue
        if inspect.isclass(value):
            if value.__module__ == module.__name__:
                found[name] = _class_snapshot(value)
        elif inspect.isfunction(value):
            found[name] = str(inspect.signature(value))
        else:
            found[name] = _plain(value)
    return found


def _class_snapshot(kind: type) -> Any:
    if issubclass(kind, enum.Enum):
        return {member.name: member.value for member in kind}
    fields = (
        [f"{field.name}: {field.type}" for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    )
    members = [name for name, member in vars(kind).items() if not name.startswith("_") and name not in {f.split(":")[0] for f in fields}
               and (isinstance(member, property) or inspect.isfunction(member))]  # fmt: skip
    return {"fields": fields, "members": sorted(members)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, enum.Enum) else value


def main() -> int:
    """Write the golden file; 1 when the version was not raised."""
    current = snapshot()
    if GOLDEN.is_file():
        frozen = read_golden()
        if frozen != current and frozen["contract_version"] == current["contract_version"]:
            print(
                "forecasting.contracts changed: raise CONTRACT_VERSION and add a line under Contracts to CHANGELOG.md first"
            )
            return 1
    GOLDEN.write_text(json.dumps(current, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
