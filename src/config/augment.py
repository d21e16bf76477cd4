"""The section augment: how training images are changed anew each time that they are seen, and with which views of an
image trained networks answer.

Sources: [S] P. Simard et al. (2003), [C] D. Cireşan et al. (2010), elastic distortions; A. Krizhevsky et al. (2012),
jitter along the principal components of colour; T. DeVries and G. Taylor (2017), cut-out.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from src.config.data import OWN, WHITENED, DataConfig
from src.config.section import PER_MEMBER, Section
from src.config.task import TaskConfig

if TYPE_CHECKING:
    from src.config.schema import RunConfig

COLOURS = 3  # channels of a colour image: red, green, blue

# The largest value of each strength, and the smallest besides 0 where that is no strength.
LIMITS: dict[str, tuple[float, float]] = {
    "shift": (0, 1000),
    "rotate": (0, 180),
    "shear": (0, 60),
    "scale": (0, 0.9),
    "sigma": (0.1, 100),
    "alpha": (0, 1000),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "colour_pca": (0, 1),
}
RULES = {
    f"augment.{name}": f"must be a number from {low:g} to {high:g}, or [low,high] of two such numbers, between which "
    "an image's strength is drawn"
    for name, (low, high) in LIMITS.items()
} | {"augment.half_angle": "must be a list of classes such as [1,7]; [] for none"}


def _within(name: str) -> Callable[[float | list[float]], float | list[float]]:
    low, high = LIMITS[name]

    def check(value: float | list[float]) -> float | list[float]:
        ends = value if isinstance(value, list) else [value, value]
        if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
            raise ValueError
        return value

    return check


Strength = float | list[float]


class AugmentConfig(Section):
    """What is done to a training image, each time anew; an image's strength is the value, or drawn from [low, high]."""

    shift: Annotated[Strength, AfterValidator(_within("shift"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    rotate: Annotated[Strength, AfterValidator(_within("rotate"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    shear: Annotated[Strength, AfterValidator(_within("shear"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    rotate_or_shear: bool = Field(False, json_schema_extra=PER_MEMBER)  # one of the two an image, not both [C]
    half_angle: list[Annotated[int, Field(ge=0)]] = Field([], json_schema_extra=PER_MEMBER)  # classes, turned less [C]
    scale: Annotated[Strength, AfterValidator(_within("scale"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    flip: float = Field(0.0, ge=0, le=1, json_schema_extra=PER_MEMBER)  # probability of left for right
    crop: int = Field(0, ge=0, le=1000, json_schema_extra=PER_MEMBER)  # padding of pixels, then a crop of the old size
    alpha: Annotated[Strength, AfterValidator(_within("alpha"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    sigma: Annotated[Strength, AfterValidator(_within("sigma"))] = Field(4.0, json_schema_extra=PER_MEMBER)
    brightness: Annotated[Strength, AfterValidator(_within("brightness"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    contrast: Annotated[Strength, AfterValidator(_within("contrast"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    saturation: Annotated[Strength, AfterValidator(_within("saturation"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    colour_pca: Annotated[Strength, AfterValidator(_within("colour_pca"))] = Field(0.0, json_schema_extra=PER_MEMBER)
    cutout: int = Field(0, ge=0, le=1000, json_schema_extra=PER_MEMBER)  # side of the square, in pixels

    test_shift: int = Field(0, ge=0, le=5, json_schema_extra=PER_MEMBER)  # pixels; src/data/views.py
    test_flip: bool = Field(False, json_schema_extra=PER_MEMBER)

    @property
    def wanted(self) -> bool:
        """Whether it changes any training image."""
        return any(high(getattr(self, name)) > 0 for name in AMOUNTS)

    @property
    def view_count(self) -> int:
        """The views of an image over which a trained network's prediction is the mean; 1 where it is the image's."""
        return (2 * self.test_shift + 1) ** 2 * (1 + self.test_flip)


# The keys that say how images change, each with those that read it; the others change images by themselves.
READERS = {"rotate_or_shear": ("rotate", "shear"), "half_angle": ("rotate", "shear"), "sigma": ("alpha",)}
AT_TEST = ("test_shift", "test_flip")
AMOUNTS = [name for name in AugmentConfig.model_fields if name not in (*READERS, *AT_TEST)]


def ends(value: Strength) -> tuple[float, float]:
    """The lowest and the highest strength that a value stands for."""
    return (value[0], value[1]) if isinstance(value, list) else (value, value)


def high(value: Strength) -> float:
    """The highest strength that a value stands for."""
    return ends(value)[1]


def unread(configs: "Sequence[RunConfig]") -> list[str]:
    """A line for each key that says how images change and is set, while none of the configurations changes them so."""
    lines = []
    for key, readers in READERS.items():
        default = AugmentConfig.model_fields[key].default
        value = next((found for one in configs if (found := getattr(one.augment, key)) != default), default)
        if value != default and not any(high(getattr(one.augment, name)) > 0 for one in configs for name in readers):
            names = " or ".join(f"augment.{name}" for name in readers)
            lines.append(
                f"augment.{key} = {value}: nothing reads it, for {names.replace(' or ', ' and ')} "
                f"{'is' if len(readers) == 1 else 'are'} 0; accepted: {str(default).lower()}, or {names} above 0"
            )
    return lines


def problems(augment: AugmentConfig, data: DataConfig, task: TaskConfig, pretrains: bool) -> list[str]:
    """What contradicts the data or the training, a line each; none where nothing changes.

    pretrains: whether layers are pretrained.
    """
    named = next((name for name in (*AMOUNTS, *AT_TEST) if high(getattr(augment, name)) > 0), None)
    if named is None:
        return []
    field = f"augment.{named} = {getattr(augment, named)}"
    if (no_image := _no_image(data)) is not None:
        return [f"{field}: {no_image}, and only images can be changed in this way; accepted: augment=none"]
    lines = [*_size_problems(augment, data)]
    for name in ("saturation", "colour_pca"):
        if high(value := getattr(augment, name)) > 0 and data.channels != COLOURS:
            lines.append(
                f"augment.{name} = {value}: images with data.channels={data.channels} have no colours to change; "
                "accepted: 0, or data with 3 channels (red, green, blue)"
            )
    if augment.view_count > 1 and task.tied:
        key = "test_shift" if augment.test_shift else "test_flip"
        lines.append(
            f"augment.{key} = {getattr(augment, key)}: answers are means of predictions, and task={task.name} makes "
            "none; accepted: 0 and false"
        )
    if augment.half_angle and (task.kind != "classes" or max(augment.half_angle) >= data.classes):
        there = f"{data.classes} classes, from 0 to {data.classes - 1}"
        found = there if task.kind == "classes" else f"{task.kind} as targets"
        lines.append(f"augment.half_angle = {augment.half_angle}: the data have {found}; accepted: classes of theirs")
    if pretrains and augment.wanted:
        lines.append(
            f"{field}: pretraining computes each layer's codes once, from images as they are stored; accepted: "
            "augment=none, or pretrain=none"
        )
    if data.normalise in WHITENED:
        lines.append(
            f"{field}: data.normalise={data.normalise} whitens the images once, before training, and after that they "
            "are no pictures to be changed; accepted: data.normalise=none, centre or channel, or augment=none"
        )
    elif data.folds is not None and data.normalise != "none":
        lines.append(
            f"{field}: with data.folds={data.folds} and data.normalise={data.normalise} images are scaled before they "
            "are dealt, and what moves in from outside would not be black; accepted: data.normalise=none"
        )
    return lines


def _no_image(data: DataConfig) -> str | None:
    """Why the data are no images, in words; None where they may be."""
    if data.name == "table":
        return "data=table has rows of numbers"
    if data.name in OWN and data.shape is not None and len(data.shape) != 3:
        return f"data.shape = {data.shape} is no image"
    if min(data.height, data.width) < 2:
        return f"examples of {data.height}x{data.width} pixels are no images"
    return None


def _size_problems(augment: AugmentConfig, data: DataConfig) -> list[str]:
    """The strengths in pixels that are larger than an image."""
    side = min(data.height, data.width)
    return [
        f"augment.{name} = {value}: the images have {data.height}x{data.width} pixels, so nothing of them would be left"
        f"; accepted: 0 to {side - 1}"
        for name in ("shift", "crop", "cutout", "test_shift")
        if high(value := getattr(augment, name)) >= side
    ]
