"""The licence of a model: the section of its card, else the licence file of its package."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.installed_packages import installed
from models.manifest import ModelSpec
from node.evaluation.installed_models import card_of

SHIPPED = installed([])
LICENCES = {
    "liver-ct": "Apache-2.0; the picture of CHAOS CT set 3: CC BY-SA 4.0.",
    "organs-ct": "Apache-2.0",
}
# A longer text is folded on the page of models.
MAX_LINE = 80


@pytest.mark.parametrize("spec", SHIPPED.values(), ids=list(SHIPPED))
def test_each_shipped_model_states_its_licence_in_one_line(spec: ModelSpec) -> None:
    licence = card_of(spec).licence
    assert licence == LICENCES[spec.model_id]
    assert len(licence) <= MAX_LINE


def test_a_file_states_the_licence_of_a_card_without_one(tmp_path: Path) -> None:
    (spec, *_) = SHIPPED.values()
    copied = replace(spec, weights=tmp_path / "weights.safetensors")
    assert card_of(copied).licence == ""
    (tmp_path / "LICENSE").write_text("MIT\n", encoding="utf-8")
    (tmp_path / "MODEL_CARD.md").write_text("# A model\n", encoding="utf-8")
    assert card_of(copied).licence == "MIT\n"
    card = "# A model\n\n## Licence\nBSD-3-Clause\n\n## Other\nText\n"
    (tmp_path / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    assert card_of(copied).licence == "BSD-3-Clause"
