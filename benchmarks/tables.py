"""A study on a table of the user's end to end: 64 trials of 5 folds by one command, and plain Lightning one by one.

Five tables, each a CSV file: scikit-learn's wine, breast cancer, digits and diabetes, and one made up like California's
house prices (2,000 rows). 64 trials of AdamW search eta, weight decay and dropout; a trial scores by the mean over five
folds. Ours is timed from the start of a cold process to its end, tracking left out. Lightning (a LightningModule,
DataLoader, torchmetrics, AdamW; preprocessing done beforehand, the start of its process left out) trains --trainings of
the 320, evenly spaced, on the same folds, from which its time for all is worked out; their validation scores are
compared with those of the same members of ours.

    python -m benchmarks.tables
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Accuracy, MeanSquaredError

from benchmarks import command, peer
from benchmarks.report import Report
from src.config.check import parse
from src.config.schema import RunConfig
from src.data.dataset import Split
from src.data.load import load
from src.runs.result_files import results_in
from src.sweep.studies.study_record import Study, read_study

ROOT = Path(__file__).resolve().parent.parent
FOLDS, TRIALS, EPOCHS, BATCH = 5, 64, 30, 32
TABLES = {"wine": "classify", "cancer": "classify", "digits": "classify", "diabetes": "regress", "houses": "regress"}


@dataclass(frozen=True)
class Taken:
    """What was measured on one table."""

    ours: float  # seconds for all trials and folds
    training: list[float]  # seconds of each of Lightning's trainings
    pairs: list[tuple[float, float]]  # validation scores of the same member, ours and Lightning's


def main() -> None:
    """The command."""
    options = _options()
    title = f"{options.trials} trials × {FOLDS} folds × AdamW on a table, beside plain Lightning"
    report = Report(title, options.quick)
    rows = []
    for name in options.tables:
        taken = _measure(name, options)
        every = options.trials * FOLDS
        lightning = fmean(taken.training) * every
        gaps = [ours - theirs for ours, theirs in taken.pairs]
        spread = 1.96 * stdev(gaps) / sqrt(len(gaps)) if len(gaps) > 1 else float("nan")
        rows.append(
            [
                name,
                f"{taken.ours:.1f}",
                f"{fmean(taken.training):.2f}",
                f"{lightning:,.0f}",
                f"{lightning / taken.ours:.0f}×",
                f"{fmean(a for a, _ in taken.pairs):.4g}",
                f"{fmean(b for _, b in taken.pairs):.4g}",
                f"{fmean(gaps):+.3g} ± {spread:.2g}",
            ]
        )
    report.table(
        ["table", "ours, s", "Lightning, s a training", f"all {every}, worked out, s", "ratio", "score, ours",
         "score, Lightning", "difference"],
        rows,
    )  # fmt: skip
    report.say(
        f"Scores: validation accuracy, or RMSE in the target's units, of {len(taken.pairs)} members at their best "
        "epoch; the difference with the 95 % interval of its mean. Asked for: at least 20×, goal 60×."
    )
    report.save(options.json)


def _options() -> Any:
    parser = command.parser("tables", __doc__)
    parser.add_argument("--tables", type=command.listed(" ".join(TABLES)), default=list(TABLES), metavar="A,B")
    parser.add_argument("--trainings", type=command.at_least_one, default=8, help="that Lightning makes a table")
    options = parser.parse_args()
    options.trials, options.epochs = TRIALS, EPOCHS
    if options.quick:
        options.trials, options.epochs, options.trainings = 2, 2, 1
        options.tables = options.tables[:1]
    return options


def _measure(name: str, options: Any) -> Taken:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / f"{name}.csv"
        write_table(name, path)
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "src.train", "-m", *_overrides(name, path, folder, options)],
            cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        ours = time.perf_counter() - start
        study = read_study(name, f"sqlite:///{folder}/studies.db")
        return Taken(ours, *_lightning(study, options.trainings))


def _overrides(name: str, path: Path, folder: Path, options: Any) -> list[str]:
    return [
        "data=table", f"data.path={path}", "data.target=target", f"data.folds={FOLDS}", f"task={TABLES[name]}",
        "model.hidden=[64,64]", "model.activation=relu", "model.init=he", "optim=adamw", f"batch_size={BATCH}",
        "data.order=epoch", f"max_epochs={options.epochs}", "tracking=none", "figures=false",
        f"hydra.sweep.dir={folder}/trials", "hydra/sweeper=optuna", f"hydra.sweeper.n_trials={options.trials}",
        f"hydra.sweeper.study_name={name}", f"hydra.sweeper.storage=sqlite:///{folder}/studies.db",
        "optim.eta=tag(log,interval(0.0003,0.03))", "optim.weight_decay=tag(log,interval(0.001,0.3))",
        "model.dropout=interval(0.0,0.3)",
    ]  # fmt: skip


def _lightning(study: Study, trainings: int) -> tuple[list[float], list[tuple[float, float]]]:
    """Seconds and pairs of scores of some members, evenly spaced over the study's."""
    members = [
        (Path(trial.folder), number)
        for trial in study.places
        for number in range(FOLDS)
        if trial.state in ("COMPLETE", "PRUNED")
    ]
    seconds, pairs = [], []
    for place in range(trainings):
        folder, number = members[place * len(members) // trainings + place % FOLDS]
        result = results_in(folder)[number]
        config = parse(result["config"])
        data = load(config.data, config.task.kind).of_fold(number)
        module = Peer(config, data.train)
        start = time.perf_counter()
        peer.fit(
            module,
            DataLoader(rows(data.train), batch_size=config.batch_size, shuffle=True),
            DataLoader(rows(data.validation), batch_size=500),
            max_epochs=config.max_epochs,
            num_sanity_val_steps=0,
        )
        seconds.append(time.perf_counter() - start)
        pairs.append((result[config.task.metric.field("validation")], module.best))
    return seconds, pairs


class Peer(pl.LightningModule):
    """The network of a trial as one writes it in Lightning; for numbers, trained on standardised targets."""

    def __init__(self, config: RunConfig, train: Split) -> None:
        super().__init__()
        self.config, self.classes = config, config.task.kind == "classes"
        sizes = [train.inputs[0].numel(), *config.model.hidden]
        layers = [
            part
            for inputs, outputs in pairwise(sizes)
            for part in (nn.Dropout(config.model.dropout), nn.Linear(inputs, outputs), nn.ReLU())
        ]
        outputs = config.data.outputs(config.task.name)
        self.network = nn.Sequential(*layers, nn.Dropout(config.model.dropout), nn.Linear(sizes[-1], outputs))
        y = train.targets.float()
        self.mean, self.sd = (torch.zeros(1), torch.ones(1)) if self.classes else (y.mean(0), y.std(0, correction=0))
        self.score: Any = (
            Accuracy(task="multiclass", num_classes=outputs) if self.classes else MeanSquaredError(squared=False)
        )
        self.best = -torch.inf if self.classes else torch.inf

    def _cost(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs, y) if self.classes else F.mse_loss(outputs, (y - self.mean) / self.sd)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """The cost that Lightning minimises."""
        cost = self._cost(self.network(batch[0]), batch[1])
        self.log("train_loss", cost)
        return cost

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Logs cost and score of the validation rows; called after each epoch."""
        outputs = self.network(batch[0])
        self.score(outputs if self.classes else (self.mean + self.sd * outputs).squeeze(1), batch[1].squeeze(-1))
        self.log("validation_loss", self._cost(outputs, batch[1]))
        self.log("validation_score", self.score)

    def on_validation_epoch_end(self) -> None:
        """Keeps the best epoch's score, as ours is."""
        value = float(self.score.compute())
        self.best = max(self.best, value) if self.classes else min(self.best, value)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW as PyTorch has it."""
        optim = self.config.optim
        return torch.optim.AdamW(self.parameters(), lr=optim.eta, weight_decay=optim.weight_decay)


def rows(split: Split) -> TensorDataset:
    """The split's rows (N, F) and targets."""
    return TensorDataset(split.inputs.float().flatten(1), split.targets)


def write_table(name: str, path: Path) -> None:
    """Writes a table as CSV, the column `target` last."""
    import pandas as pd
    from sklearn import datasets

    if name == "houses":
        frame = houses()
    else:
        source = {"wine": "wine", "cancer": "breast_cancer", "digits": "digits", "diabetes": "diabetes"}[name]
        loaded = getattr(datasets, f"load_{source}")(as_frame=True)
        frame = pd.concat([loaded.data, loaded.target.rename("target")], axis=1)
    frame.to_csv(path, index=False)


def houses(count: int = 2_000) -> Any:
    """A made-up table with columns and ranges like those of the California housing data (scikit-learn)."""
    import pandas as pd

    random = np.random.default_rng(0)
    income, age = random.lognormal(1.2, 0.5, count), random.integers(1, 53, count)
    rooms, latitude = random.normal(5.4, 1.1, count), random.uniform(32.5, 42, count)
    longitude = random.uniform(-124, -114, count)
    price = 0.45 * income + 0.008 * age - 0.15 * np.abs(latitude - 36) + 0.3 * np.sin(longitude) + 0.05 * rooms
    columns = {"income": income, "age": age, "rooms": rooms, "latitude": latitude, "longitude": longitude}
    return pd.DataFrame({**columns, "target": price + random.normal(0, 0.3, count)})


if __name__ == "__main__":
    main()
