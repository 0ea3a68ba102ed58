"""How a model is trained, as data; `models.training.config_file` reads it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import ModelsError
from models.manifest import Code, Label, NetworkSpec

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Triple = tuple[float, float, float]
CodeTexts = tuple[str, str, str]


class InvalidConfig(ModelsError):
    """A training configuration cannot be used; the message names the file and every wrong key."""


class Precision(StrEnum):
    """What the network computes in while it learns."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"  # with a scaled loss; on a GPU


class Every(StrEnum):
    """How often the learning rate is set."""

    STEP = "step"
    EPOCH = "epoch"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelConfig(_Section):
    """An organ to be found: as in a package's manifest, without the index, which is its place."""

    name: str
    category: CodeTexts = ("91772007", "SCT", "Organ")
    type: CodeTexts
    display_rgb: tuple[int, int, int]
    min_volume_ml: float = 0.0
    max_volume_ml: float | None = None
    mean_hu: tuple[float, float] | None = None

    def label(self, index: int) -> Label:
        """As a package's label of that number."""
        return Label(
            index,
            self.name,
            Code(*self.category),
            Code(*self.type),
            self.display_rgb,
            self.min_volume_ml,
            self.max_volume_ml,
            self.mean_hu,
        )


class NetworkConfig(_Section):
    """One of `models.networks` and what it is built with."""

    kind: str
    parameters: dict[str, Any] = {}


class GridConfig(_Section):
    """What the network sees: mm (z, y, x) and HU."""

    spacing_mm: Annotated[Triple, Field(default=(3.0, 3.0, 3.0))]
    hu_window: tuple[float, float] = (-160.0, 240.0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if min(self.spacing_mm) <= 0:
            raise ValueError("spacing_mm must be positive")
        if self.hu_window[0] >= self.hu_window[1]:
            raise ValueError("hu_window must be [low, high]")
        return self


class AugmentConfig(_Section):
    """How far a patch of a labelled case may be changed. Never mirrored: organs have sides."""

    chance: Share = 1.0  # that a patch is changed at all
    scale: tuple[float, float] = (0.8, 1.25)
    turn_degrees: float = 12.0
    warp_mm: float = 8.0
    brightness_hu: float = 20.0
    contrast: tuple[float, float] = (0.8, 1.25)
    noise_hu: float = 15.0


class CasesConfig(_Section):
    """Labelled cases of one data set.

    `folder` is relative to the data folder given on the command line; `labels` tells for each
    organ which values (or names) of the data set it takes together, and may be left out where
    they are numbered as ours.
    """

    folder: Path = Path()
    layout: str = "pairs"
    labels: dict[str, list[int | str]] = {}
    share: Positive = 1.0  # of the samples, against the other sources
    foreground: Share = 0.67  # of the patches are centred on a labelled voxel
    validation: Share = 0.2  # of the cases are kept for choosing the best weights


class BodiesConfig(_Section):
    """Bodies painted anew for every sample, from one wholly labelled CT and from phantoms.

    `folder` holds `ct.nii.gz`, `labels_all.nii.gz` and `labels_all.json`. `organs` names for each
    label the organ that it is, in the order of the labels.
    """

    folder: Path = Path()
    organs: tuple[str, ...]
    share: Positive = 1.0
    phantom_share: Share = 0.25
    phantoms: Count = 24  # bodies, seeds from 0
    others_share: Share = 0.08  # of the samples: heads and test cylinders, without any organ
    others: Count = 16
    chests: Count = 16  # different chests put onto the labelled CT
    anywhere: Share = 0.2  # chance of a sample from anywhere along the body
    dome_cut: Share = 0.0  # chance of a sample that ends at the dome of the liver


class NamedConfig(_Section):
    """Something of torch by its name, and its arguments."""

    name: str
    arguments: dict[str, Any] = {}


class ScheduleConfig(NamedConfig):
    """A schedule of `torch.optim.lr_scheduler`; OneCycleLR is told the rate and number of steps."""

    every: Every = Every.STEP


class LossConfig(_Section):
    """Dice plus cross-entropy, each with its weight.

    In the cross-entropy the background counts `background_weight` and an organ 1, unless
    `class_weights` tells each class's own, from the background on.
    """

    dice: float = 1.0
    cross_entropy: float = 1.0
    background_weight: Positive = 1.0
    class_weights: tuple[float, ...] | None = None
    include_background: bool = False


class ValidationConfig(_Section):
    """Full-volume Dice of held-out cases and phantoms, every so many steps."""

    every: Count = 250
    phantoms: tuple[int, ...] = ()  # seeds; needs [bodies]
    patch: tuple[int, int, int] = (64, 0, 0)  # of the sliding window; 0 is the whole axis
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5


class TrainConfig(_Section):
    """All there is to say about a training."""

    labels: Annotated[tuple[LabelConfig, ...], Field(min_length=1)]
    network: NetworkConfig
    grid: GridConfig
    patch: tuple[int, int, int]  # voxels (z, y, x); 0 is the whole axis (one case per batch then)
    batch: Count = 2
    steps: Count | None = None
    epochs: Count | None = None
    patches_per_case: Count = 1  # an epoch draws so many from each case
    seed: int = 0
    optimiser: NamedConfig = NamedConfig(name="AdamW", arguments={"lr": 1e-3})
    schedule: ScheduleConfig | None = None
    loss: LossConfig = LossConfig()
    precision: Precision = Precision.FP32
    clip_gradient: Positive | None = None
    average: Annotated[float, Field(gt=0, lt=1)] | None = None  # decay of the weights' mean
    save_every: Count = 250
    log_every: Count = 50
    cases: tuple[CasesConfig, ...] = ()
    bodies: BodiesConfig | None = None
    keep_largest: bool = True  # of each organ's parts the largest alone
    augmentation: AugmentConfig = AugmentConfig()
    validation: ValidationConfig = ValidationConfig()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("one of steps and epochs must be given")
        if not self.cases and self.bodies is None:
            raise ValueError("there is nothing to learn from: neither [[cases]] nor [bodies]")
        if self.epochs is not None and not self.cases:
            raise ValueError("epochs are counted over [[cases]]; without them, give steps")
        if self.bodies is not None and len(self.bodies.organs) != len(self.labels):
            raise ValueError("bodies.organs must name one organ for each of the labels")
        weights = self.loss.class_weights
        if weights is not None and len(weights) != len(self.labels) + 1:
            raise ValueError("loss.class_weights must be one for the background and each label")
        return self

    @property
    def classes(self) -> int:
        """The labels and the background."""
        return len(self.labels) + 1

    def network_spec(self) -> NetworkSpec:
        """The network, as a package's manifest would name it."""
        return NetworkSpec(self.network.kind, self.network.parameters)

    def organ_labels(self) -> tuple[Label, ...]:
        """The labels, numbered from 1."""
        return tuple(label.label(k) for k, label in enumerate(self.labels, start=1))
