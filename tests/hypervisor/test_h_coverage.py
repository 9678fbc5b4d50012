"""docs/h-extension.md says which rules the tests cover."""

from tests.hypervisor.rule_coverage import PAGE, coverage, page, rules, unknown_names


def test_marks_name_rules_that_exist() -> None:
    assert unknown_names() == []


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run python tests/hypervisor/rule_coverage.py"


def test_every_rule_has_a_gist() -> None:
    assert all(rule.gist for rule in rules())
    assert len(coverage()) == len(rules()) > 200
