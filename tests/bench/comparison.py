"""`make bench-compare A.json B.json`: the effect of a change, from two runs of `make bench`."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.measurements import Measurement, Report


def main() -> None:
    """Prints each figure of both files; asserts nothing."""
    parser = argparse.ArgumentParser(prog="make bench-compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    arguments = parser.parse_args()
    before, after = Report.read(arguments.before), Report.read(arguments.after)
    console = Console()
    if before.machine != after.machine:
        console.print(f"different machines: {before.machine}; {after.machine}")
    console.print(comparison_table(before, after))


def comparison_table(before: Report, after: Report) -> Table:
    """Returns the medians of the figures that both have, and what the change has made of them.

    A change within the spread of the rounds says nothing.
    """
    table = Table("Figure", "Before", "After", "Ratio", "")
    earlier = {each.key: each for each in before.measurements}
    for new in after.measurements:
        old = earlier.get(new.key)
        if old is not None:
            ratio = f"{new.median / old.median:.2f}" if old.median else ""
            figures = (f"{old.median:.4g} {old.unit}", f"{new.median:.4g} {new.unit}", ratio)
            table.add_row(new.key, *figures, verdict(old, new))
    return table


def verdict(before: Measurement, after: Measurement) -> str:
    """Returns "better" or "worse" where every round of one is beyond every round of the other."""
    if min(after.values) > max(before.values):
        return "better" if after.higher_is_better else "worse"
    if max(after.values) < min(before.values):
        return "worse" if after.higher_is_better else "better"
    return "within the spread"


if __name__ == "__main__":
    main()
