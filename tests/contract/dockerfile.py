"""The Dockerfile as stages of instructions, for tests."""

import re
import shlex
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    """One instruction: upper-case word and the rest of the (joined) line."""

    word: str
    rest: str


@dataclass(frozen=True)
class StageSpec:
    """One stage: its name, what it is built from, its instructions."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def values(self, word: str) -> list[str]:
        """What follows each instruction of a kind."""
        return [found.rest for found in self.instructions if found.word == word]


@dataclass(frozen=True)
class InstalledSpec:
    """How a stage gets its packages: the commands that install, and the packages left out."""

    commands: tuple[str, ...]
    pruned: tuple[str, ...] = field(default=())


def read_dockerfile() -> dict[str, StageSpec]:
    """Stages by name."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    stages: dict[str, tuple[str, list[Instruction]]] = {}
    name = ""
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = (base.strip(), [])
        else:
            stages[name][1].append(Instruction(word.upper(), rest.strip()))
    return {name: StageSpec(name, base, tuple(found)) for name, (base, found) in stages.items()}


def lineage(stages: dict[str, StageSpec], name: str) -> list[StageSpec]:
    """A stage and the stages it is built from, oldest first."""
    found = []
    while name in stages:
        found.append(stages[name])
        name = stages[name].base
    return found[::-1]


def packages_of(stages: dict[str, StageSpec], target: str) -> InstalledSpec:
    """What the stage that fills /opt/almanac of a target runs."""
    sources = [re.fullmatch(r"--from=(\S+) /opt/almanac /opt/almanac", rest) for rest in stages[target].values("COPY")]
    (source,) = [match.group(1) for match in sources if match]
    commands = tuple(part.strip() for rest in stages[source].values("RUN") for part in rest.split("&&"))
    words = [word for command in commands for word in shlex.split(command)]
    pruned = tuple(words[i + 1] for i, word in enumerate(words) if word == "--prune")
    return InstalledSpec(tuple(command for command in commands if "/uv " in command), pruned)


def locked_packages(pruned: tuple[str, ...]) -> set[str]:
    """Names of the packages that the lock gives the project without development groups, on any platform.

    Args:
        pruned: Packages to leave out, with all that only they need.
    """
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    needs: dict[tuple[str, str], list[dict]] = {}
    for package in lock["package"]:
        needs.setdefault((package["name"], ""), []).extend(package.get("dependencies", []))
        for extra, wanted in package.get("optional-dependencies", {}).items():
            needs.setdefault((package["name"], extra), []).extend(wanted)
    found: set[tuple[str, str]] = set()
    waiting = [("almanac", "")]
    while waiting:
        node = waiting.pop()
        if node in found or node[0] in pruned:
            continue
        found.add(node)
        for need in needs.get(node, []):
            waiting += [(need["name"], extra) for extra in ("", *need.get("extra", []))]
    return {name for name, _ in found}
