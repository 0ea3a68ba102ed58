"""The mistakes in a rule, each at the field of the form and at the line of the text that has it."""

from dataclasses import dataclass

from node.configuration.rule_form import RuleForm
from node.domain.errors import Misconfigured
from node.domain.findings import FindingKind

# The fields of the form by the key in the text: the id and the name of each.
_FIELDS = {
    "name": ("name", "Name"),
    "model": ("model", "Model"),
    "destinations": ("destinations", "Results go to"),
    "enabled": ("enabled", "Enabled"),
    "quiet_seconds": ("quiet", "Quiet time"),
    "priority": ("priority", "Priority"),
    "acquisitions": ("acquisitions", "Several acquisitions"),
    "shadow": ("shadow", "Candidate"),
}
_CONDITIONS = ("conditions", "Conditions")


@dataclass(frozen=True)
class Message:
    """A mistake, in the words of `segnode check`.

    `line` counts from 1 in the text of the rule, None if it is elsewhere. `field` is the id of the
    form's field that has the mistake, and `label` its name; both are empty without one.
    """

    text: str
    line: int | None = None
    field: str = ""
    label: str = ""


@dataclass(frozen=True)
class RulePlace:
    """Where a rule stands: its number among the rules, and the lines of its text in the whole."""

    number: int
    first_line: int
    line_count: int


def messages_of(
    error: Misconfigured, place: RulePlace, form: RuleForm | None
) -> tuple[Message, ...]:
    """Returns the mistakes in a configuration with the rule; those of the rule have a place."""
    return tuple(_message(mistake, place, form) for mistake in error.mistakes)


def _message(mistake: Misconfigured, place: RulePlace, form: RuleForm | None) -> Message:
    of_rule = f"rules.{place.number}."
    line = None if mistake.line is None else mistake.line - place.first_line
    if line is not None and not 1 <= line <= place.line_count:
        line = None
    if mistake.key.startswith(of_rule):
        field, label = _field(mistake.key.removeprefix(of_rule).split("."), form)
        return Message(mistake.message, line, field, label)
    text = f"{mistake.key}: {mistake.message}" if mistake.key else mistake.message
    if line is None and mistake.line is not None:
        text = f"line {mistake.line} of the configuration: {text}"
    return Message(text, line)


def _field(key: list[str], form: RuleForm | None) -> tuple[str, str]:
    """Returns the id and the name of the field with that key below the rule; empty without one."""
    if form is None:
        return "", ""
    match key:
        case ["when", *within]:
            return _condition_field(within, form)
        case ["mark_on" | "hold_on" as option, number]:
            listed: tuple[str, ...] = getattr(form, option)
            kind = listed[int(number) - 1]
            if kind not in list(FindingKind):  # the form has fields for known ones alone
                return "", ""
            return f"finding-{kind}", f"Finding {kind.replace('-', ' ')}"
        case [name, *_]:
            return _FIELDS.get(name, ("", ""))
    return "", ""


def _condition_field(within: list[str], form: RuleForm) -> tuple[str, str]:
    """Returns the field of a condition: its attribute, else its value."""
    if form.conditions is None:
        return "", ""
    match within:
        case ["all", number, *of_row]:
            row = int(number) - 1
        case [] | ["all"]:
            return _CONDITIONS
        case of_row:
            row = 0
    name = "attribute" if of_row[-1:] == ["attribute"] else "value"
    return f"{name}-{row}", f"Condition {row + 1}"
