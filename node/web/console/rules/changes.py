"""Changes of the list of rules: their order, whether they are enabled, and removal."""

from dataclasses import replace
from enum import StrEnum

from node.configuration.rule_blocks import RuleBlocks
from node.configuration.rule_form import read_form, write_form


class RuleAction(StrEnum):
    """A button beside a rule."""

    UP = "up"
    DOWN = "down"
    ENABLE = "enable"
    DISABLE = "disable"
    REMOVE = "remove"


_IN_WORDS = {
    RuleAction.UP: "is evaluated earlier",
    RuleAction.DOWN: "is evaluated later",
    RuleAction.ENABLE: "is enabled",
    RuleAction.DISABLE: "is disabled",
    RuleAction.REMOVE: "is removed",
}


def change_rules(blocks: RuleBlocks, number: int, action: RuleAction) -> tuple[RuleBlocks, str]:
    """Returns the rules after the change of the rule `number`, from 1, and the reason to record.

    Raises:
        CannotEdit: the text of the rule cannot be changed here.
        IndexError: there is no such rule, or no position for it.
        ValueError: the text of the rule is not valid.
    """
    index = number - 1
    block = blocks.blocks[index]
    form = read_form(block)
    reason = f"rule {form.name!r} {_IN_WORDS[action]}"
    match action:
        case RuleAction.UP:
            return blocks.moved(index, index - 1), reason
        case RuleAction.DOWN:
            return blocks.moved(index, index + 1), reason
        case RuleAction.ENABLE:
            return blocks.replaced(index, write_form(block, replace(form, enabled=True))), reason
        case RuleAction.DISABLE:
            return blocks.replaced(index, write_form(block, replace(form, enabled=False))), reason
        case RuleAction.REMOVE:
            return blocks.removed(index), reason
