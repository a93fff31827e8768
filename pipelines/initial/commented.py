"""YAML with comments: settings, groups of settings and lists, written with what there is to say about each."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

CHECK = "CHECK: "
"""How a comment begins that a person must look at."""
_WIDTH = 116
_COMMENT_COLUMN = 34


@dataclass(frozen=True)
class Setting:
    """One value. off: written as a comment, for it is only an offer."""

    key: str
    value: Any
    comment: str = ""
    off: bool = False


@dataclass(frozen=True)
class Listing:
    """A list of names with a comment each."""

    key: str
    items: tuple[tuple[str, str], ...]
    comment: str = ""


@dataclass(frozen=True)
class Group:
    """Settings below one key; an empty line stands before it where it is a section."""

    key: str
    members: tuple["Node", ...]
    comment: str = ""


Node = Setting | Listing | Group


def commented_yaml(head: str, nodes: Sequence[Node]) -> str:
    """The document: a comment at its head, then the nodes."""
    lines = _above(head, 0)
    for node in nodes:
        lines += ["", *_lines(node, 0)] if isinstance(node, Group) or node is nodes[0] else _lines(node, 0)
    return "\n".join(lines) + "\n"


def to_check(nodes: Sequence[Node], path: str = "") -> tuple[str, ...]:
    """What a person must look at: key and comment of every node that asks for it."""
    found: list[str] = []
    for node in nodes:
        key = f"{path}{node.key}"
        if node.comment.startswith(CHECK):
            found.append(f"{key}: {node.comment.removeprefix(CHECK).partition(chr(10))[0]}")
        if isinstance(node, Group):
            found += to_check(node.members, f"{key}.")
        if isinstance(node, Listing):
            found += [f"{key} {name}: {text.removeprefix(CHECK)}" for name, text in node.items if text.startswith(CHECK)]  # fmt: skip
    return tuple(found)


def _lines(node: Node, indent: int) -> list[str]:
    pad = " " * indent
    if isinstance(node, Group):
        lines = [*_above(node.comment, indent), f"{pad}{node.key}:"]
        return lines + [line for member in node.members for line in _lines(member, indent + 2)]
    if isinstance(node, Listing):
        if not node.items:
            return _beside(f"{pad}{node.key}: []", node.comment, indent)
        lines = _beside(f"{pad}{node.key}:", node.comment, indent)
        return lines + [line for name, text in node.items for line in _beside(f"{pad}  - {_flow(name)}", text, indent + 2)]  # fmt: skip
    text = f"{pad}{'# ' if node.off else ''}{node.key}: {_flow(node.value)}"
    return _beside(text, node.comment, indent)


def _beside(text: str, comment: str, indent: int) -> list[str]:
    """A line with its comment at its end, or above it where it is too long."""
    if not comment:
        return [text]
    line = f"{text:<{_COMMENT_COLUMN}}  # {_plain(comment)}"
    return [line] if len(line) <= _WIDTH and "\n" not in comment else [*_above(comment, indent), text]


def _above(comment: str, indent: int) -> list[str]:
    pad = " " * indent
    lines = []
    for paragraph in comment.split("\n") if comment else []:
        lines += textwrap.wrap(_plain(paragraph), _WIDTH - indent - 2, break_long_words=False, break_on_hyphens=False) or [""]  # fmt: skip
    return [f"{pad}# {line}".rstrip() for line in lines]


def _flow(value: Any) -> str:
    """A value on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _plain(text: str) -> str:
    """Text without what would end a comment: names of columns may hold anything."""
    return "".join(character if character.isprintable() else "�" for character in text)
