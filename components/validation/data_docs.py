"""Make the pages of Great Expectations readable without a network.

As rendered they take their style sheets and scripts from a dozen public hosts and say when and under
which random ids they were made. Here scripts and remote files go, a small style sheet comes in, and
what is random becomes a number, so that the same result is the same file.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from forecasting.errors import ArtifactError

RESULT_PAGE = "index.html"
SUITE_PAGE = "suite.html"
_FIRST_SUITE = "table"

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#212529;background:#fff;margin:0 auto;max-width:76rem;padding:0 1.5rem 3rem}
a{color:#0b5cad}h4,h5,h6{margin:.4rem 0;font-size:1.05rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}td,th{border:1px solid #dee2e6;padding:.35rem .6rem;text-align:left;vertical-align:top}
.alert{background:#eef1f4;border-radius:6px;padding:.6rem 1rem;margin:.8rem 0}.alert-danger{background:#fdecea}.alert-success{background:#e9f6ec}
.badge{background:#e2e6ea;border-radius:4px;padding:.05rem .4rem}
.text-success,.fa-check-circle{color:#1a7f37}.text-danger,.fa-times{color:#b42318}.text-warning,.fa-exclamation-triangle{color:#9a6700}
i.fas::before{font-style:normal;font-weight:700}i.fa-check-circle::before{content:"\\2713"}i.fa-times::before{content:"\\2717"}
i.fa-exclamation-triangle::before{content:"\\26A0"}
ul{margin:.2rem 0}ol.breadcrumb{display:none}.show-scrollbars{overflow:auto}.cooltip .top{display:none}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#15181b}.alert,.badge{background:#2a2f34;color:inherit}td,th{border-color:#444}a{color:#7cb7ff}}
"""
_REMOVED = tuple(
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"<script\b.*?</script>",
        r"<link\b[^>]*>",
        r"<style\b.*?</style>",
        r"<img\b[^>]*>",
        r"<footer\b.*?</footer>",
        r"<nav class=\"navbar navbar-expand-md.*?</nav>\s*</div>\s*</nav>",
        r"<div class=\"card mb-3\">\s*<div class=\"card-header p-2\">\s*<strong>Actions</strong>.*?</label>\s*</div>\s*</div>\s*</div>",
        r"<thead hidden>.*?</thead>",
        r"<a data-toggle=\"collapse\".*?</a>",
    )
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIMES = re.compile(r"\d{8}T\d{6}\.\d{6}Z|1970-01-01T00:00:00Z")


def make_self_contained(site: Path, output: Path, suites: Sequence[str] = (_FIRST_SUITE,)) -> None:
    """Copy the result page and the suite page of each suite of a rendered site, without anything remote.

    Args:
        site: Folder that Great Expectations rendered.
        output: Folder of the pages; made if absent. Those of the first suite are index.html (the result) and
            suite.html (the rules), of another NAME.html and NAME_suite.html.
        suites: Names of the suites.

    Raises:
        ArtifactError: A suite does not have exactly one result and one page of rules.
    """
    output.mkdir(parents=True, exist_ok=True)
    for suite in suites:
        results = sorted((site / "validations" / suite).rglob("*.html"))
        rules = sorted((site / "expectations").rglob(f"{suite}.html"))
        if len(results) != 1 or len(rules) != 1:
            raise ArtifactError(
                f"Data Docs must have one result and one suite, found {len(results)} and {len(rules)} of {suite!r} in {site}"
            )
        for page, name in zip((results[0], rules[0]), _page_names(suite), strict=True):
            html = clean_page(page.read_text(encoding="utf-8"), suite)
            links = " · ".join(f'<a href="{_page_names(other)[0]}">{other}</a>' for other in suites)
            html = html.replace("<body>", f"<body><p>{links}</p>", 1)
            (output / name).write_text(html, encoding="utf-8")


def _page_names(suite: str) -> tuple[str, str]:
    """Names of the result page and the page of rules."""
    return (RESULT_PAGE, SUITE_PAGE) if suite == _FIRST_SUITE else (f"{suite}.html", f"{suite}_suite.html")


def clean_page(html: str, suite: str = _FIRST_SUITE) -> str:
    """Take out of a page what is remote, scripted or random, and link the two pages of a suite to each other."""
    result_page, suite_page = _page_names(suite)
    for pattern in _REMOVED:
        html = pattern.sub("", html)
    html = re.sub(r'href="[^"]*expectations/[^"]*\.html"', f'href="{suite_page}"', html)
    html = re.sub(r'href="[^"]*(?:index|validations/[^"]*)\.html"', f'href="{result_page}"', html)
    html = re.sub(r'href="https?://[^"]*"', "", html)
    numbers: dict[str, str] = {}
    html = _UUID.sub(lambda found: numbers.setdefault(found[0], str(len(numbers) + 1)), html)
    html = _TIMES.sub("-", html)
    return html.replace("</head>", f"<style>{_STYLE}</style></head>", 1)
