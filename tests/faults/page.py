"""Makes docs/reliability.md of the table of faults: `python -m tests.faults.page`."""

from collections import Counter
from collections.abc import Sequence

from tests.faults.records import ROOT, FaultCase, GuardPatch, node_ids, read_cases, read_guards

PAGE = ROOT / "docs" / "reliability.md"
_PROSE = ROOT / "tests" / "faults" / "page_head.md"
_WORDS = {
    "held": "held",
    "fixed": "found and fixed",
    "part": "in part",
    "open": "no test yet",
    "elsewhere": "decided elsewhere",
}
_SECTIONS = ((1, "Tables"), (26, "Pipeline and training"), (39, "Storage and deployment"), (48, "Serving"),
             (54, "Monitoring and security"))  # fmt: skip


def page(cases: Sequence[FaultCase], guards: tuple[GuardPatch, ...]) -> str:
    """The page: what stands in its head, the counts, one table a section, and the guards."""
    counts = Counter(case.result for case in cases)
    said = ", ".join(f"{counts[result]} {word}" for result, word in _WORDS.items() if counts[result])
    lines = [_PROSE.read_text(encoding="utf-8").rstrip(), "", f"{len(cases)} cases: {said}. {len(guards)} guards.", ""]
    headings = dict(_SECTIONS)
    for case in cases:
        if case.number in headings:
            lines += ["", f"## {headings[case.number]}", "", *_HEAD]
        lines.append(_row(case, guards))
    lines += ["", "## Tests of each case", ""]
    for case in cases:
        lines += [f"{case.number}. {'; '.join(f'`{test}`' for test in node_ids(case, guards)) or 'none'}"]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


_HEAD = ("| | what goes wrong | what must happen | guards | result |", "|---|---|---|---|---|")


def _row(case: FaultCase, guards: tuple[GuardPatch, ...]) -> str:
    held_by = "; ".join(f"{guard.name} (`{guard.file}`)" for guard in guards if case.number in guard.cases)
    result = _WORDS[case.result] + (f": {case.note}" if case.note else "")
    cells = (str(case.number), case.fault, case.demand, held_by, result)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(read_cases(), read_guards()), encoding="utf-8")
