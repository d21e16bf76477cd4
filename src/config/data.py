"""The section data: the examples, their splits, and the order in which a member sees them."""

from typing import Annotated, Literal

from pydantic import Field

from src.config.section import SEEDS, Section
from src.config.task import KINDS

# The data sets whose images have a fixed size: (channels, height, width, classes). For others the user gives it.
SIZES = {"auto": (1, 28, 28, 10), "mnist": (1, 28, 28, 10), "digits": (1, 28, 28, 10), "cifar10": (3, 32, 32, 10)}

# The user's own data, whose sizes are found in the files: own_data.py sets them where a command line does not.
OWN = ("arrays", "table", "folder", "function")
FOUND = ("channels", "height", "width", "classes", "target_count", "shape")  # these sizes

# The values of data.normalise that mix an example's numbers by a matrix, and the most numbers of which one is made:
# it has their square, and they are those of a 64x64 image, or of one of CIFAR-10.
WHITENED = ("pca", "zca")
MOST_WHITENED = 4096

# The keys of data that only some sources read.
_DEALT = ("test", "split")
DATA_KEYS: dict[str, tuple[str, ...]] = {
    "arrays": ("path", *_DEALT),
    "table": ("path", "target", "drop", "columns", "group", "time", "weight", *_DEALT),
    "folder": _DEALT,
    "function": ("function", *_DEALT),
}


# A number of examples, or below 1 a part of all of them.
Size = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)]


class DataConfig(Section):
    """The examples, their splits, and the order in which a member sees them."""

    name: Literal["auto", "mnist", "digits", "idx", "cifar10", "arrays", "table", "folder", "function"]
    dir: str | None = None  # folder with the four IDX files, plain or gzipped; folder: with one folder a class
    path: str | None = Field(None, min_length=1)  # arrays: a .npz file; table: a .csv or .parquet file
    # function: package.module.name of a function that gives arrays
    function: str | None = Field(None, pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)+$")
    target: str | list[str] | None = None  # table: the column to predict, or several
    drop: list[str] = Field([])  # table: columns that are no inputs
    columns: list[str] | None = None  # table: those that are; None: all others
    # own data: how examples are dealt to splits that the source does not have. auto: by
    # data.group or data.time if set, else stratified for classes, else random
    split: Literal["auto", "random", "stratified", "group", "time"] = "auto"
    group: str | None = None  # table: rows with the same value in this column stay together
    time: str | None = None  # table: rows with the latest values in this column test, those before validate
    weight: str | None = None  # table: the column with each example's weight in the cost of training
    test: Size | None = None  # test examples of own data
    expand: Literal["none", "shifts"] = "none"  # shifts: each image and its four one-pixel moves [N6, expand_mnist.py]
    # over the training examples. centre: mean 0 of each channel; channel: and sd 1; pca, zca: inputs without
    # correlations, of variance 1, as principal components or turned back to pixels
    normalise: Literal["none", "centre", "channel", "pca", "zca"] = "none"
    epsilon: float = Field(1e-5, gt=0)  # pca, zca: added to the eigenvalues, the components' variances [CS231n]
    order: Literal["fixed", "once", "epoch"] = (
        "fixed"  # fixed: as stored [N6]; once: permuted; epoch: again every epoch
    )
    # how often training examples are seen in an epoch. over: each class as often as the largest, by repetition; under:
    # as often as the smallest, by other examples each epoch
    sampling: Literal["none", "over", "under"] = "none"
    channels: int = Field(1, ge=1)  # 1: grey; 3: red, green, blue
    height: int = Field(28, ge=1)  # pixels
    width: int = Field(28, ge=1)  # pixels
    classes: int = Field(10, ge=2, le=256)
    target_count: int = Field(1, ge=1)  # numbers or labels to predict, of tasks other than classify
    shape: list[Annotated[int, Field(ge=1)]] | None = None  # an example as an own network sees it; None: an image
    train: int | None = Field(None, ge=1)  # images; None: all but those for validation
    validation: Size = 10_000  # examples: of own data, see split; else the last of the training file
    refit: bool = False  # whether the validation examples are trained on, too, as one does when all is chosen
    split_seed: int = Field(0, ge=0, lt=SEEDS)  # of how examples are dealt to splits and folds
    folds: int | None = Field(None, ge=2, le=1000)  # cross-validation: each member is validated by a part of its own
    outer_folds: int | None = Field(None, ge=2, le=1000)  # each fold in turn is the test set: nested cross-validation
    outer_fold: int = Field(0, ge=0)  # the one that is, from 0

    @property
    def as_stored(self) -> "DataConfig":
        """The same data as they are stored, for networks that scale or whiten them by what their own runs have left."""
        return self.model_copy(update={"normalise": "none"})

    def outputs(self, task: str) -> int:
        """The outputs that a network needs for `task`: one a class, or one a number or label to predict."""
        return self.target_count if task in KINDS else self.classes

    @property
    def example(self) -> tuple[int, ...]:
        """The shape of one example as an own network sees it."""
        return (self.channels, self.height, self.width) if self.shape is None else tuple(self.shape)
