"""The table of methods is that of the classes, its page shows it, and every rule has a row."""

from sgdlimits import discrete
from sgdlimits.discrete import rules
from sgdlimits.discrete.method_table import EXAMPLES, HEADS
from tests.pages import ROOT, run_page

PAGE = ROOT / "docs" / "methods.md"


def test_every_rule_has_a_row_and_the_page_shows_the_table():
    """Assert that no rule is left out, that facts are in words, and that the page is what the function prints."""
    table = discrete.methods()
    assert {type(rule) for each in EXAMPLES.values() for rule in each} == set(rules.RULES)
    assert table in PAGE.read_text(encoding="utf-8")
    for line in table.splitlines():
        assert line.count(" | ") == len(HEADS) - 1
    for rule in (*(each[0] for each in EXAMPLES.values()), rules.UserRule(lambda *given: given[:2])):
        assert isinstance(rule.facts, rules.Facts) and all((rule.facts.besides, rule.facts.limit, rule.facts.threshold))


def test_the_page_on_methods_runs(capsys):
    """Assert that its block prints laws, the part that decides a tail, and a closure with verdicts."""
    run_page(PAGE)
    printed = capsys.readouterr().out
    assert printed.count("StationaryLaw(") == 3 and "the additive part decides" in printed
    assert "never arrive" in printed and "differs: variance" in printed
