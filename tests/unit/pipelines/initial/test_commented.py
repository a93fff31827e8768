"""YAML with comments reads back as what was meant."""

import yaml

from pipelines.initial.commented import CHECK, Group, Listing, Setting, commented_yaml, to_check

NODES = (
    Setting("name", "a"),
    Group(
        "data",
        (
            Setting("target", "no: #1 'quoted'", "the reason"),
            Listing("known", (("yes", "a flag"), ("temp", CHECK + "a plan " + "long " * 30)), "known ahead"),
            Listing("static", ()),
            Setting("max_age", "2d", "an offer", off=True),
            Group("inner", (Setting("x", 0.5, CHECK + "look"),), CHECK + "first line\nsecond line"),
        ),
    ),
)


def test_values_read_back_whatever_they_hold():
    assert yaml.safe_load(commented_yaml("Head.", NODES)) == {
        "name": "a",
        "data": {"target": "no: #1 'quoted'", "known": ["yes", "temp"], "static": [], "inner": {"x": 0.5}},
    }


def test_an_offer_is_a_comment():
    assert "  # max_age: 2d                     # an offer\n" in commented_yaml("Head.", NODES)


def test_no_line_is_too_long_and_long_comments_stand_above():
    lines = commented_yaml("Head.", NODES).splitlines()
    assert max(map(len, lines)) <= 116
    assert lines[lines.index("    - temp") - 1].lstrip().startswith("# ")


def test_what_is_to_be_checked_is_listed_with_its_key():
    found = to_check(NODES)
    assert [line.split(":")[0] for line in found] == ["data.known temp", "data.inner", "data.inner.x"]
    assert found[1] == "data.inner: first line"


def test_a_line_break_in_a_name_cannot_end_a_comment():
    nodes = (Setting("a", 1, "named x\u2028b: 2\x0bc: 3"),)
    assert yaml.safe_load(commented_yaml("Head.", nodes)) == {"a": 1}
