"""The configuration of a training; `models.training.config_file` reads it from a file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import ModelsError
from models.manifest import MIN_WINDOW_AGREEMENT, Code, Label, NetworkSpec

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Triple = tuple[float, float, float]
CodeTexts = tuple[str, str, str]


class InvalidConfig(ModelsError):
    """A training configuration cannot be used; the message names the file and every wrong key."""


class Precision(StrEnum):
    """The floating-point format of the network's computations in training."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"  # with loss scaling; on a GPU


class ScheduleInterval(StrEnum):
    """How often the learning rate changes."""

    STEP = "step"
    EPOCH = "epoch"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelConfig(_Section):
    """An organ to segment, as in a package's manifest; its index is its position in the list."""

    name: str
    category: CodeTexts = ("91772007", "SCT", "Organ")
    type: CodeTexts
    display_rgb: tuple[int, int, int]
    min_volume_ml: float = 0.0
    max_volume_ml: float | None = None
    mean_hu: tuple[float, float] | None = None
    usual_volume_ml: tuple[float, float] | None = None
    usual_hu: tuple[float, float] | None = None
    min_window_agreement: Fraction = MIN_WINDOW_AGREEMENT

    def label(self, index: int) -> Label:
        """Returns the manifest label with this index."""
        return Label(
            index,
            self.name,
            Code(*self.category),
            Code(*self.type),
            self.display_rgb,
            self.min_volume_ml,
            self.max_volume_ml,
            self.mean_hu,
            self.usual_volume_ml,
            self.usual_hu,
            self.min_window_agreement,
        )


class NetworkConfig(_Section):
    """A network of `models.networks` by its name, and its parameters."""

    kind: str
    parameters: dict[str, Any] = {}


class GridConfig(_Section):
    """The grid of the network's input: spacing in mm (z, y, x) and the HU window."""

    spacing_mm: Annotated[Triple, Field(default=(3.0, 3.0, 3.0))]
    hu_window: tuple[float, float] = (-160.0, 240.0)

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if min(self.spacing_mm) <= 0:
            raise ValueError("spacing_mm must be positive")
        if self.hu_window[0] >= self.hu_window[1]:
            raise ValueError("hu_window must be [low, high]")
        return self


class AugmentConfig(_Section):
    """The random augmentation of patches. Patches are never mirrored: organs have sides."""

    chance: Fraction = 1.0  # that a patch is augmented at all
    scale: tuple[float, float] = (0.8, 1.25)
    turn_degrees: float = 12.0
    warp_mm: float = 8.0
    brightness_hu: float = 20.0
    contrast: tuple[float, float] = (0.8, 1.25)
    noise_hu: float = 15.0


class CasesConfig(_Section):
    """Labelled cases of one data set.

    `folder` is relative to the data folder given on the command line. `labels` maps each organ to
    the values (or names) of the data set that it combines; it may be left out where the data set
    uses the same numbers.
    """

    folder: Path = Path()
    layout: str = "pairs"
    labels: dict[str, list[int | str]] = {}
    share: PositiveFloat = 1.0  # relative to the other sources
    foreground: Fraction = 0.67  # fraction of patches centred on a labelled voxel
    validation: Fraction = 0.2  # fraction of cases held out to choose the best weights


class BodiesConfig(_Section):
    """Synthetic images, generated for every sample from one fully labelled CT and from phantoms.

    `folder` holds `ct.nii.gz`, `labels_all.nii.gz` and `labels_all.json`. `organs` names the
    organ of each label, in the order of the labels.
    """

    folder: Path = Path()
    organs: tuple[str, ...]
    share: PositiveFloat = 1.0
    phantom_share: Fraction = 0.25
    phantoms: PositiveInt = 24  # number of phantoms; their seeds count from 0
    others_share: Fraction = (
        0.08  # fraction of samples from heads and test cylinders, which have no organ
    )
    others: PositiveInt = 16
    chests: PositiveInt = 16  # number of different chests added to the labelled CT
    anywhere: Fraction = 0.2  # probability that a sample is centred anywhere along the body
    dome_cut: Fraction = 0.0  # probability that a sample ends at the dome of the liver


class TorchClassConfig(_Section):
    """A class of torch by its name, and its arguments."""

    name: str
    arguments: dict[str, Any] = {}


class ScheduleConfig(TorchClassConfig):
    """A schedule of `torch.optim.lr_scheduler`; OneCycleLR receives learning rate and steps."""

    every: ScheduleInterval = ScheduleInterval.STEP


class LossConfig(_Section):
    """Dice plus cross-entropy, each with its weight.

    The cross-entropy weights the background by `background_weight` and each organ by 1, unless
    `class_weights` gives the weight of every class, background first.
    """

    dice: float = 1.0
    cross_entropy: float = 1.0
    background_weight: PositiveFloat = 1.0
    class_weights: tuple[float, ...] | None = None
    include_background: bool = False


class ValidationConfig(_Section):
    """Full-volume Dice of held-out cases and phantoms, every `every` steps."""

    every: PositiveInt = 250
    phantoms: tuple[int, ...] = ()  # seeds; needs [bodies]
    patch: tuple[int, int, int] = (
        64,
        0,
        0,
    )  # sliding window in voxels (z, y, x); 0 is the whole axis
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5


class TrainConfig(_Section):
    """The complete configuration of a training."""

    labels: Annotated[tuple[LabelConfig, ...], Field(min_length=1)]
    network: NetworkConfig
    grid: GridConfig
    patch: tuple[int, int, int]  # voxels (z, y, x); 0 is the whole axis (one case per batch then)
    batch: PositiveInt = 2
    steps: PositiveInt | None = None
    epochs: PositiveInt | None = None
    patches_per_case: PositiveInt = 1  # patches that an epoch draws from each case
    seed: int = 0
    optimiser: TorchClassConfig = TorchClassConfig(name="AdamW", arguments={"lr": 1e-3})
    schedule: ScheduleConfig | None = None
    loss: LossConfig = LossConfig()
    precision: Precision = Precision.FP32
    clip_gradient: PositiveFloat | None = None
    average: Annotated[float, Field(gt=0, lt=1)] | None = (
        None  # decay of the moving average of the weights
    )
    save_every: PositiveInt = 250
    log_every: PositiveInt = 50
    cases: tuple[CasesConfig, ...] = ()
    bodies: BodiesConfig | None = None
    keep_largest: bool = True  # keep only the largest component of each organ
    augmentation: AugmentConfig = AugmentConfig()
    validation: ValidationConfig = ValidationConfig()

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("one of steps and epochs must be given")
        if not self.cases and self.bodies is None:
            raise ValueError("there is no training data: neither [[cases]] nor [bodies]")
        if self.epochs is not None and not self.cases:
            raise ValueError("epochs need [[cases]]; without cases, give steps")
        if self.bodies is not None and len(self.bodies.organs) != len(self.labels):
            raise ValueError("bodies.organs must name one organ for each of the labels")
        weights = self.loss.class_weights
        if weights is not None and len(weights) != len(self.labels) + 1:
            raise ValueError("loss.class_weights must be one for the background and each label")
        return self

    @property
    def classes(self) -> int:
        """The number of classes: the labels and the background."""
        return len(self.labels) + 1

    def network_spec(self) -> NetworkSpec:
        """Returns the network as a package's manifest specifies it."""
        return NetworkSpec(self.network.kind, self.network.parameters)

    def organ_labels(self) -> tuple[Label, ...]:
        """Returns the labels, numbered from 1."""
        return tuple(label.label(k) for k, label in enumerate(self.labels, start=1))
