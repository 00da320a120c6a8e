"""[[rule]]: names that nothing has, and rules that can never have an effect, are problems with a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.settings import RuleSettings, read_settings

FILE = Path("/etc/dicomnode/dicomnode.toml")
HEAD = """\
schema = 1
[receive]
also_called = ["STAT_NODE"]
[[sender]]
ae_title = "CT1"
[[destination]]
name = "archive"
ae_title = "PACS"
host = "pacs.example"
[[engine]]
name = "lung-ct"
[[engine]]
name = "head-ct"
mode = "off"
"""


def read(rules: str, head: str = HEAD):
    return read_settings(FILE, head + rules)


def test_a_rule_says_conditions_and_what_follows():
    settings, problems = read(
        """
[[rule]]
name = "emergency"
calling = ["CT*"]
called = ["STAT_NODE"]
station = ["ER1"]
modality = ["CT"]
engines = ["lung-ct"]
priority = "stat"
destinations = ["archive"]
mode = "live"
[[rule]]
never = ["lung-ct"]
"""
    )
    assert problems == []
    assert settings.rule[0] == RuleSettings(
        name="emergency",
        calling=("CT*",),
        called=("STAT_NODE",),
        station=("ER1",),
        modality=("CT",),
        engines=("lung-ct",),
        priority="stat",
        destinations=("archive",),
        mode="live",
    )
    assert (settings.rule[1].priority, settings.rule[1].mode) == ("routine", "")


@pytest.mark.parametrize(
    ("rules", "key", "value", "hint"),
    [
        ('engines = ["lung-tc"]', "rule[1].engines[1]", "lung-tc", "lung-ct"),
        ('never = ["lung-ct", "ribs"]', "rule[1].never[2]", "ribs", "lung-ct, head-ct"),
        ('destinations = ["archiv"]', "rule[1].destinations[1]", "archiv", "archive"),
        ('calling = ["CT2"]', "rule[1].calling[1]", "CT2", "CT1"),
        ('calling = ["MR*"]', "rule[1].calling[1]", "MR*", "CT1"),
        ('calling = ["A\\\\B"]', "rule[1].calling[1]", "A\\B", ""),
        ('called = ["STATNODE"]', "rule[1].called[1]", "STATNODE", "STAT_NODE"),
        ('engines = ["lung-ct"]\nnever = ["lung-ct"]', "rule[1].never", "lung-ct", ""),
        ('engines = ["head-ct"]', "rule[1].engines", "head-ct", "mode"),
        ('priority = "urgent"', "rule[1].priority", "urgent", ""),
        ('station = ["A"]\nname = "a"\n[[rule]]\nname = "a"', "rule[2].name", "a", ""),
        ('mode = "shadow"\n[[rule]]\nstation = ["A"]', "rule[1]", None, "last"),
    ],
)
def test_what_cannot_be_is_a_problem_that_says_what_there_is(rules, key, value, hint):
    settings, problems = read(f"[[rule]]\n{rules}\n")
    assert settings is None
    assert key in [problem.key for problem in problems]
    (problem,) = [problem for problem in problems if problem.key == key and problem.value == value][:1]
    assert hint in (problem.hint or "")


def test_where_unknown_senders_are_accepted_a_rule_may_name_any_of_them():
    head = HEAD.replace("[receive]\n", '[receive]\nunknown_senders = "accept"\n')
    _, problems = read('[[rule]]\ncalling = ["MR7"]\n', head)
    assert problems == []


def test_a_further_title_of_the_node_is_a_title():
    _, problems = read("", HEAD.replace("STAT_NODE", "LONGER THAN SIXTEEN"))
    assert [problem.key for problem in problems] == ["receive.also_called[1]"]
