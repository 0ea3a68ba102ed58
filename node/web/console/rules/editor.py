"""The state of the page on which a person edits one rule, as a form and as text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from node.configuration.rule_blocks import RuleBlocks
from node.configuration.rule_form import (
    Comparison,
    ConditionRow,
    RuleForm,
    new_rule,
    read_form,
    write_form,
)
from node.configuration.site_configuration import PROPOSED, SiteConfiguration
from node.configuration.toml_edit import CannotEdit
from node.domain.errors import Misconfigured, NodeError
from node.domain.findings import FindingKind
from node.evaluation.dry_run import DryRun
from node.routing.dicom_dictionary import entries_by_keyword
from node.settings import Settings
from node.settings.toml_source import TomlSource
from node.web.console.rules.messages import Message, RulePlace, messages_of

DEFAULT_DAYS = 7.0
_MAX_DAYS = 3650.0
_MAX_ROWS = 100


@dataclass(frozen=True)
class RuleEditor:
    """One rule in both forms, the mistakes in it, and the last dry run.

    `number` counts from 1 in the order of the rules, None for a new one. `form` is None while the
    text cannot be read. `whole` is the text of the configuration with this rule, and `place` where
    it stands there; None as long as the text cannot be read.
    """

    number: int | None
    text: str
    form: RuleForm | None
    whole: str
    place: RulePlace | None = None
    messages: tuple[Message, ...] = ()
    result: DryRun | None = None
    days: float = DEFAULT_DAYS

    @property
    def line_count(self) -> int:
        """The number of lines of the text."""
        return self.text.count("\n") + 1

    def mistake(self, field: str) -> str:
        """Returns what is wrong in the field of the form with that id; empty if nothing is."""
        return "; ".join(each.text for each in self.messages if each.field == field)

    @property
    def has_mistake_in_more(self) -> bool:
        """Whether something is wrong in the fields that are folded away at first."""
        folded = {"quiet", "priority", "acquisitions", "shadow"}
        return any(m.field in folded or m.field.startswith("finding-") for m in self.messages)

    @property
    def rows(self) -> tuple[ConditionRow, ...]:
        """The rows of conditions, with an empty one to fill in."""
        empty = ConditionRow(Comparison.EQUALS, "")
        rows = () if self.form is None or self.form.conditions is None else self.form.conditions
        return (*rows, empty)

    def finding_choice(self, kind: FindingKind) -> str:
        """Returns what happens to a result with that finding: deliver, mark or hold."""
        if self.form is not None and kind in self.form.hold_on:
            return "hold"
        return "mark" if self.form is not None and kind in self.form.mark_on else "deliver"


def open_editor(blocks: RuleBlocks, number: int | None, settings: Settings) -> RuleEditor:
    """Returns the editor of a rule as it is, or of a new one.

    Raises:
        IndexError: there is no rule of that number.
    """
    if number is None:
        models = [rule.model for rule in settings.rules] or ["liver-ct"]
        text = new_rule(models[0], next(iter(settings.destinations), ""))
    elif 1 <= number <= len(blocks.blocks):
        text = blocks.blocks[number - 1]
    else:
        raise IndexError(number)
    return _with_text(blocks, number, text)


def edited(blocks: RuleBlocks, number: int | None, fields: Mapping[str, str]) -> RuleEditor:
    """Returns the editor after a change: the half that was edited last determines the other.

    Raises:
        IndexError: there is no rule of that number.
    """
    if number is not None and not 1 <= number <= len(blocks.blocks):
        raise IndexError(number)
    text = fields.get("text", "").replace("\r\n", "\n")
    if fields.get("edited") != "form":
        return _with_text(blocks, number, text)
    try:
        text = write_form(text, _form(fields))
    except (CannotEdit, ValueError) as error:
        return _unreadable(number, text, error)
    return _with_text(blocks, number, text)


def checked(
    editor: RuleEditor, configuration: SiteConfiguration
) -> tuple[RuleEditor, Settings | None]:
    """Returns the editor with the mistakes that a check finds, and the settings without any."""
    if editor.form is None or editor.place is None:
        return editor, None
    try:
        return editor, configuration.check(editor.whole)
    except Misconfigured as error:
        messages = messages_of(error, editor.place, editor.form)
        return replace(editor, messages=messages), None


def days_of(fields: Mapping[str, str]) -> float:
    """Returns the period of a dry run in days; the default where the form has none.

    Raises:
        ValueError: it is no number of days.
    """
    text = fields.get("days", "").strip()
    try:
        days = float(text or DEFAULT_DAYS)
    except ValueError:
        days = 0.0
    if not 0 < days <= _MAX_DAYS:
        raise ValueError(f"the days of a dry run are a number above 0 and up to {_MAX_DAYS:g}")
    return days


def attribute_help(attribute: str) -> str:
    """Returns the name and the tag of an attribute; empty if it is none."""
    entry = entries_by_keyword().get(attribute)
    if entry is None:
        return ""
    return f"{entry.name} ({entry.tag >> 16:04X},{entry.tag & 0xFFFF:04X})"


def _with_text(blocks: RuleBlocks, number: int | None, text: str) -> RuleEditor:
    try:
        form = read_form(text)
    except ValueError as error:
        return _unreadable(number, text, error)
    text = text if text.endswith("\n") else f"{text}\n"
    changed = blocks.added(text) if number is None else blocks.replaced(number - 1, text)
    index = len(changed.blocks) - 1 if number is None else number - 1
    place = RulePlace(index + 1, changed.first_line(index), text.count("\n") + 1)
    return RuleEditor(number, text, form, changed.text, place)


def _unreadable(number: int | None, text: str, error: NodeError | ValueError) -> RuleEditor:
    """Returns the editor of a text that is not one rule, with the words of `segnode check`."""
    try:
        TomlSource.parse(text.encode("utf-8"), Path(PROPOSED))
    except Misconfigured as mistake:
        message = Message(mistake.message, mistake.line)
    else:
        message = Message(f"the text cannot be read as a rule: {error}")
    return RuleEditor(number, text, None, "", messages=(message,))


def _form(fields: Mapping[str, str]) -> RuleForm:
    """Returns the fields of a posted form."""
    kinds = {kind: fields.get(f"finding.{kind}", "deliver") for kind in FindingKind}
    return RuleForm(
        name=fields.get("name", "").strip(),
        model=fields.get("model", ""),
        destinations=tuple(
            name.removeprefix("destination.") for name in fields if name.startswith("destination.")
        ),
        enabled="enabled" in fields,
        quiet_seconds=fields.get("quiet_seconds", "").strip(),
        priority=fields.get("priority", ""),
        acquisitions=fields.get("acquisitions", ""),
        shadow=fields.get("shadow", ""),
        mark_on=tuple(kind.value for kind, choice in kinds.items() if choice == "mark"),
        hold_on=tuple(kind.value for kind, choice in kinds.items() if choice == "hold"),
        conditions=_posted_rows(fields) if "row.0.test" in fields else None,
    )


def _posted_rows(fields: Mapping[str, str]) -> tuple[ConditionRow, ...]:
    rows = []
    for i in range(_MAX_ROWS):
        test = fields.get(f"row.{i}.test")
        if test is None:
            break
        value = fields.get(f"row.{i}.value", "").strip()
        attribute = fields.get(f"row.{i}.attribute", "").strip()
        if value or attribute:
            comparison = Comparison(test)
            named = attribute if comparison.needs_attribute else ""
            rows.append(ConditionRow(comparison, value, named, f"row.{i}.negated" in fields))
    return tuple(rows)
