"""What one trained network sees and does: python -m src.look run=RUN|study=NAME [image=N] [unit=LAYER:U] [KEY=VALUE …]

RUN is the folder of a run, mlruns/hydra/DATE/TIME-NAME; its best network, or a study's, is looked at on its test split.
Figures: the filters of its convolutions and the weights of its first dense layer; what it sees of the first images; the
outputs of each layer for one image; the images that excite units of each layer most; what it predicts as a grey square
covers a part of an image; the codes of its last hidden layer by principal components and t-SNE; and, of a run with
augment, what that makes of training images. Of rows of a table the codes are drawn, for the rest needs pictures.

    image=0            the test image whose feature maps are drawn; with the ones behind it, the occlusion
    unit=LAYER:U       only this unit, such as layers.1:7, and more of the images that excite it
    data=NAME data.KEY=VALUE    other data, as src.evaluate takes them
    storage=URL        where the study lies, if not in mlruns/studies.db
    output=FOLDER      RUN/figures/look, or mlruns/look/STUDY
Exit status: 0 done; 2 nothing was drawn; 130 stopped by the user.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from src.commands.arguments import run_command, words_and_keys
from src.commands.networks import WHERE, chosen_networks, data_of, output_folder
from src.config.error import UserError
from src.config.wording import number_of

if TYPE_CHECKING:
    from torch import Tensor

    from src.runs.look import Excited, Look
    from src.runs.trained import Trained

USAGE = "python -m src.look run=RUN|study=NAME [image=N] [unit=LAYER:U] [data.KEY=VALUE ...] [output=FOLDER]"
STUDIES_FOLDER = Path("mlruns/look")
OWN = {**WHERE, "image": "0", "unit": "", "output": ""}
EXAMPLES = 2_000  # test examples among which the exciting ones are looked for
CODES = 1_000  # of which codes are drawn
FEWEST = 3  # to lie in a plane
SEEN = 10  # images that are shown as the network sees them
TIMES = 5  # that a training image is shown as augment changes it
UNITS, EXCITING = 6, 8  # units of a layer, and images of each
OF_ONE = 40  # images of a unit that is asked for
COVERED = 6  # images of which parts are covered
MOST_LAYERS = 12  # with figures of their own


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_look, arguments, __doc__, "Nothing was drawn")


def _look(arguments: list[str]) -> int:
    changes = [one for one in arguments if one.startswith(("data=", "data."))]
    words, options = words_and_keys([one for one in arguments if one not in changes], OWN, USAGE)
    if words:
        raise UserError(f"{' '.join(words)}: accepted: keys of data, and {', '.join(OWN)}. Usage: {USAGE}")
    unit = _unit(options["unit"])
    network = chosen_networks({**options, "top": "1"})[0]  # of a cross-validation, which gives all folds, the first

    from src.runs import terminal
    from src.runs.look import Look
    from src.runs.predictor import Predictor

    predictor = Predictor([network])
    data = data_of([network], predictor.columns, changes, USAGE)
    look = Look(predictor.members[0], network.config.task.kind, data.inputs, data.targets)  # type: ignore[arg-type]
    image = _image(options["image"], len(data.targets))
    terminal.grid(
        {
            "network": f"{network.config.name}, {network.name}; trained on {network.result.dataset}",
            "data": f"{data.name}, {data.which}",
        }
    )
    drawing = _Drawing(network, look, data.name, output_folder(options, "figures/look", STUDIES_FOLDER))
    with terminal.waiting("Drawing"):
        paths = list(drawing.unit(*unit) if unit else drawing.every(image))
    for path in paths:
        terminal.say(f"Picture: {path}")
    for what in drawing.left:
        terminal.tell(f"Not drawn: {what}.")
    return 0


def _unit(text: str) -> tuple[str, int] | None:
    """The layer and the unit that unit=LAYER:U names. Raises UserError."""
    if not text:
        return None
    found = re.fullmatch(r"(.+):(\d{1,9})", text)
    if not found:
        raise UserError(f"unit={text}: must name a layer and a unit of it; accepted: LAYER:U such as layers.0:3.")
    return found[1], int(found[2])


def _image(text: str, count: int) -> int:
    """The index that image=N gives. Raises UserError."""
    if not (text.isascii() and text.isdigit() and int(text) < count):
        raise UserError(f"image={text}: must be the number of a test example; accepted: 0 to {count - 1:,}.")
    return int(text)


class _Drawing:
    """Draws what applies of one network into a folder; each method yields the paths of its figures."""

    def __init__(self, network: "Trained", look: "Look", data: str, folder: Path) -> None:
        self.network, self.look, self.folder, self.outputs = network, look, folder, network.output_names
        self.left: list[str] = []  # what was not drawn, and why
        self.data, self.who = data, f"{network.config.name} on {network.result.dataset}, seed {network.result.seed}"

    def every(self, image: int) -> Iterator[Path]:
        """All figures that apply."""
        if self.look.has_images:
            yield from self._filters()
            yield self._seen()
            yield from self._changed()
            yield self._maps(image)
            yield from self._excited()
            yield self._occlusion(image)
        else:
            self.left.append("filters, feature maps, exciting images and occlusion, which need pictures")
        yield from self._codes()

    def unit(self, layer: str, unit: int) -> Iterator[Path]:
        """The images that excite one unit. Raises UserError where there is none, or no images."""
        from src.runs.look_figures import excited_figure

        if not self.look.has_images:
            raise UserError(f"unit={layer}:{unit}: the examples of {self.data} are no pictures.")
        found = self.look.excited(EXAMPLES)
        if layer not in found:
            raise UserError(f"unit={layer}:{unit}: no such layer; accepted: {', '.join(found)}.")
        count = found[layer].values.shape[1]
        if unit >= count:
            raise UserError(f"unit={layer}:{unit}: {layer} has {count:,} units; accepted: 0 to {count - 1:,}.")
        path = self.folder / f"unit_{layer}_{unit}.png"
        title = f"{self.who}: the images that excite unit {unit} of {layer} most"
        excited_figure(found[layer], [unit], self._pictures(found[layer]), self._names(), OF_ONE, path, title)
        yield path

    def _filters(self) -> Iterator[Path]:
        """The filters of convolutions, and the weights of a dense layer that sees the images themselves."""
        from src.runs.mosaic import COLOUR
        from src.runs.pictures import colour_filters_figure, filters_figure, units_figure

        size = self.look.inputs.shape[1:]
        named = self.look.member.network.named_parameters()
        weights = [(name.removesuffix(".weight"), one) for name, one in named if one.dim() > 1]
        kernels = [(name, one) for name, one in weights if one.dim() == 4 and one.shape[-1] > 1]
        for place, (name, one) in enumerate(kernels[:MOST_LAYERS]):
            path = self.folder / f"filters_{name}.png"
            figure = colour_filters_figure if place == 0 and one.shape[1] == COLOUR else filters_figure
            figure(one, path, f"{self.who}: filters of {name}")
            yield path
        dense = [(name, one) for name, one in weights if one.dim() == 2 and one.shape[1] == size.numel()]
        pixels = self.network.config.data.normalise != "pca"  # not components
        for name, one in dense[:1] if pixels and not kernels else []:
            path = self.folder / f"filters_{name}.png"
            units_figure(one, (size[0], size[1], size[2]), path, f"{self.who}: weights of {name}")
            yield path

    def _seen(self) -> Path:
        from src.runs.pictures import rows_figure

        x = self.look.seen(slice(SEEN))
        low, high = float(x.min()), float(x.max())
        path = self.folder / "seen.png"
        rows = {"as stored": self._stored(slice(SEEN)), "as seen": (x - low) / max(high - low, 1e-12)}
        caption = f"the first {len(x)} test images; as seen: values from {low:.3g} (white) to {high:.3g} (black)"
        rows_figure(rows, path, f"{self.who}: what the network sees", caption)
        return path

    def _changed(self) -> Iterator[Path]:
        """What augment made of the first training images, where the network was trained with it."""
        config = self.network.config
        if not config.augment.wanted:
            return
        import torch

        from src.data.load import load
        from src.data.scaling import as_seen
        from src.runs.pictures import rows_figure
        from src.training.augment.examples import changed_images

        try:
            dataset = load(config.data, config.task.kind)
        except UserError as error:
            self.left.append(f"training images as augment changed them: {str(error).rstrip('.')}")
            return
        train = dataset.train.first(dataset.member_examples)  # of a cross-validation those of the first fold
        count = min(SEEN, len(train))
        order = torch.arange(count).repeat(TIMES)  # a mini-batch a time
        changed = changed_images(config.augment, train, order, self.network.result.seed, batch=count)
        rows = {"as stored": _in_range(as_seen(train.first(count).inputs, None))}
        rows |= {f"time {time}": _in_range(one) for time, one in enumerate(changed.split(count), start=1)}
        path = self.folder / "changed.png"
        caption = f"the first {count} training images, each anew whenever it is seen"
        rows_figure(rows, path, f"{self.who}: training images as augment changes them", caption)
        yield path

    def _maps(self, image: int) -> Path:
        from src.runs.look_figures import maps_figure

        one = slice(image, image + 1)
        answers = dict(zip(self.outputs, self.look.predictions(one)[0].tolist(), strict=True))
        path = self.folder / f"maps_{image}.png"
        title = f"{self.who}: test image {image} ({self._names(one)[0]}) in each layer"
        layers = {f"{name}, {self.look.words(name)}": value for name, value in self.look.layers(one).items()}
        maps_figure(self.look.seen(one)[0], layers, answers, path, title)
        return path

    def _excited(self) -> Iterator[Path]:
        from src.runs.look_figures import excited_figure

        found = self.look.excited(EXAMPLES)
        names = self._names()
        for layer, one in list(found.items())[:MOST_LAYERS]:
            path = self.folder / f"excited_{layer}.png"
            title = f"{self.who}: the images that excite units of {layer} most ({self.look.words(layer)})"
            units = one.liveliest(UNITS)
            excited_figure(one, units, self._pictures(one), names, EXCITING, path, title)
            yield path

    def _occlusion(self, image: int) -> Path:
        from src.runs.look_figures import occlusion_figure

        examples = list(range(image, min(image + COVERED, len(self.look.targets))))
        followed = self.look.answered(examples)
        covered = [self.look.occlusion(one, output) for one, output in zip(examples, followed, strict=True)]
        whole = self.look.predictions(slice(examples[0], examples[-1] + 1))
        alone = [float(whole[place, output]) for place, output in enumerate(followed)]
        what = {"classes": "the probability of the true class", "labels": "the probability of the likeliest label"}
        side = self.look.square
        title = (
            f"{self.who}: {what.get(self.look.kind, 'the first number')} under a grey square of {side}×{side} pixels"
        )
        path = self.folder / "occlusion.png"
        names = [self.outputs[output] for output in followed]
        occlusion_figure(self._stored(slice(examples[0], examples[-1] + 1)), covered, alone, names, path, title)
        return path

    def _codes(self) -> Iterator[Path]:
        from src.runs.look_figures import codes_figure

        layer, codes = self.look.codes(min(CODES, len(self.look.targets)))
        if len(codes) < FEWEST or not bool((codes.nan_to_num() != codes.nan_to_num()[0]).any()):
            why = "are too few" if len(codes) < FEWEST else "all have the same one"
            self.left.append(f"codes, for the {number_of(len(codes), 'example')} {why}")
            return
        targets, wrong = self.look.targets[: len(codes)], None
        if self.look.kind == "classes":
            wrong = self.look.predictions(slice(len(codes))).argmax(1) != targets
        else:
            targets = targets[:, 0]
        path = self.folder / "codes.png"
        title = f"{self.who}: {layer}, {codes.shape[1]:,} values, for {len(codes):,} test examples"
        codes_figure(codes, targets, wrong, self.outputs, path, title)
        yield path

    def _stored(self, examples: slice) -> "Tensor":
        """Images as stored, in 0 … 1."""
        from src.data.scaling import as_seen

        return _in_range(as_seen(self.look.inputs[examples], None))

    def _pictures(self, excited: "Excited") -> "Tensor":
        return self._stored(slice(len(excited.values)))

    def _names(self, examples: slice = slice(EXAMPLES)) -> list[str]:
        """What stands above an image: its class or its labels, or the first number."""
        rows = self.look.targets[examples].tolist()
        if self.look.kind == "classes":
            return [self.outputs[one] for one in rows]
        if self.look.kind == "numbers":
            return [f"{row[0]:.4g}" for row in rows]
        return [" ".join(name for name, held in zip(self.outputs, row, strict=True) if held) or "none" for row in rows]


def _in_range(x: "Tensor") -> "Tensor":
    """Images as they are where they lie in 0 … 1, else from the smallest value to the largest."""
    low, high = float(x.min()), float(x.max())
    return x if low >= 0 and high <= 1 else (x - low) / (high - low)
