"""The list of rules for the console."""

from dataclasses import dataclass

from node.configuration.rule_blocks import RuleBlocks
from node.configuration.site_configuration import SiteConfiguration
from node.configuration.toml_edit import CannotEdit
from node.domain.errors import Misconfigured
from node.domain.texts.sentences import sentence
from node.routing.conditions import Verdict
from node.routing.rules import Rule, own_condition
from node.routing.series_facts import SeriesFacts
from node.settings import Settings


@dataclass(frozen=True)
class RuleLine:
    """One rule in the list; `condition` names its conditions, enabled or not."""

    number: int
    rule: Rule
    condition: Verdict


@dataclass(frozen=True)
class RuleList:
    """The rules in their order.

    `base` is the number of the revision that changes start from, None without one. `read_only` says
    why the console cannot change the rules; it is empty if it can.
    """

    lines: tuple[RuleLine, ...]
    base: int | None
    read_only: str


def list_rules(configuration: SiteConfiguration, running: Settings) -> RuleList:
    """Returns the rules of the active configuration.

    They are those that run where the active text has mistakes on this host.
    """
    text = configuration.text()
    try:
        rules = configuration.check(text).rules
    except Misconfigured:
        rules = running.rules
    empty = SeriesFacts({}, 0, "")
    lines = tuple(
        RuleLine(number, rule, own_condition(rule).evaluate(empty))
        for number, rule in enumerate(rules, 1)
    )
    base = configuration.store.active_revision_number() if configuration.is_writable else None
    return RuleList(lines, base, _read_only(configuration, text, len(rules)))


def blocks_of(configuration: SiteConfiguration) -> RuleBlocks:
    """Returns the text of the active configuration, divided into its rules.

    Raises:
        CannotEdit: it has the rules in a form that the console does not change.
    """
    return RuleBlocks.of(configuration.text())


def blocks_of_revision(configuration: SiteConfiguration, number: int | None) -> RuleBlocks:
    """Returns the text of a revision, divided into its rules; None is before the first revision.

    Raises:
        CannotEdit: as `blocks_of`.
    """
    return RuleBlocks.of("" if number is None else configuration.revision(number).text)


def _read_only(configuration: SiteConfiguration, text: str, count: int) -> str:
    if not configuration.is_writable:
        where = configuration.file or "no file, so that the defaults apply"
        return (
            f"The configuration is in {where}. Rules can be tried here; to change them, edit the "
            "file and run “segnode reload”."
        )
    try:
        blocks = RuleBlocks.of(text).blocks
    except CannotEdit as error:
        return sentence(str(error))
    if len(blocks) != count:
        return "This is the rule that applies without a configuration. Add one to replace it."
    return ""
