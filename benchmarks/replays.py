"""The runs that `benchmarks.same` trains on two revisions: together they use all the code that can change a number.

All are short (100 digits, small networks, two epochs) and many share a process: a grid with -m trains each of its
structures as a stack. Threads and chunks are fixed, because the order of sums on the torch engine depends on both, and
the last digit of an epoch's training cost on either engine on the chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from src.config.compose import composed

ENGINES = ("cpu", "torch")
COMMON = (
    "data=digits",
    "data.validation=100",
    "trainer.threads=1",
    "trainer.chunk=4",
    "trainer.compile=false",
    "tracking=none",
    "figures=false",
)
SHORT = ("data.train=100", "max_epochs=2")
SMALL = ("model.maps=[4]", "model.hidden=[20]")
STUDY = ("-m", "hydra/sweeper=optuna", *SMALL, "data.train=100", "max_epochs=6", "hydra.launcher.max_members=3")
LAYERS = (
    "[]",
    "[{conv: 4, pool: l2}, {fc: 20, dropout: 0.4}]",
    "[{conv: 4, stride: 2, pool: none}, {conv: 6, field: 3, pool_size: 3, pool_stride: 2}]",
    "[{fc: 30, activation: tanh, dropout: 0.2}, {fc: 20}]",
)


@dataclass(frozen=True)
class Replay:
    """One command of `python -m src.train`, with its arguments beside COMMON.

    status: the exit status that it must have; 1 where a network diverges on purpose.
    stopped_after: the epoch after which the run is stopped as by Ctrl-C; `python -m src.resume` then goes on with it.
    """

    name: str
    arguments: tuple[str, ...]
    status: int = 0
    stopped_after: int | None = None

    @property
    def folder(self) -> str:
        """The folder of the run's results, relative to the one in which it is started."""
        return self.name.replace(" ", "-")

    @property
    def is_multirun(self) -> bool:
        """Whether it trains several trials, each in a folder of its own."""
        return "-m" in self.arguments

    @property
    def is_study(self) -> bool:
        """Whether it is a study, whose trials are in the Optuna store `store`."""
        return "hydra/sweeper=optuna" in self.arguments

    @property
    def store(self) -> str:
        """The file of the study's store."""
        return f"{self.folder}.db"

    def command(self) -> list[str]:
        """All arguments of src.train."""
        where = "sweep" if self.is_multirun else "run"
        store = [f"hydra.sweeper.storage=sqlite:///{self.store}"] if self.is_study else []
        return [*self.arguments, *COMMON, f"hydra.{where}.dir={self.folder}", *store]


def replays(experiments: Sequence[str]) -> list[Replay]:
    """All runs, those of the two engines in turn; experiments: the names for +exp=NAME."""
    return [
        Replay(f"{engine} {one.name}", (*one.arguments, f"trainer.engine={engine}"), one.status, one.stopped_after)
        for one in _runs(experiments)
        for engine in ENGINES
    ]


def _runs(experiments: Sequence[str]) -> list[Replay]:
    return [
        *_experiments(experiments),
        Replay("activations", ("-m", *SHORT, *SMALL, "model.activation=sigmoid,tanh,relu,leaky_relu,elu,gelu,silu")),
        Replay("initial weights", ("-m", *SHORT, *SMALL, "model.init=chapter,fan_in,he,glorot", "seed=0,5")),
        Replay("layers", ("-m", *SHORT, _choice("model.layers", LAYERS), "model.dropout=0,0.3", "batch_size=7,10",
                          "model.dropout_convention=chapter,inverted")),
        Replay("members", ("-m", *SHORT, *SMALL, "model.activation=relu", "optim.eta=0.03,0.1,1e30",
                           "optim.lambda_=0,1", "optim.l1=0,0.3", "optim.momentum=0,0.5,0.9", "model.dropout=0,0.3"),
               status=1),
        Replay("order and expansion", ("-m", *SHORT, *SMALL, "batch_size=7", "data.order=fixed,once,epoch",
                                       "data.expand=none,shifts", "seed=0,1")),
        Replay("schedules and stopping", ("-m", *SMALL, "data.train=100", "max_epochs=8", "optim.eta=0.3", "seed=0,1",
                                          "optim.schedule=constant,inverse,exponential,halve", "optim.decay=0.5",
                                          "optim.eta_end=0.01", "optim.plateau_epochs=1", "stop.patience_epochs=2",
                                          "stop.patience_batches=25", "stop=none,patience_epochs,patience_batches")),
        Replay("vote", (*SHORT, *SMALL, "ensemble=3", "repeats=2", "model.dropout=0.2")),
        Replay("resume", (*SMALL, "data.train=100", "max_epochs=150", "ensemble=3", "data.order=epoch",
                          "optim.momentum=0.9", "optim.eta=0.01", "model.dropout=0.3", "optim.schedule=halve",
                          "optim.plateau_epochs=20", "stop=patience_epochs", "stop.patience_epochs=60"),
               stopped_after=3),
        Replay("study by TPE", (*STUDY, "hydra.sweeper.n_trials=16", "hydra.sweeper.sampler=tpe",
                                "hydra.sweeper.sampler_options={n_startup_trials: 5}", "hydra.sweeper.pruner=median",
                                "hydra.sweeper.pruner_options={n_startup_trials: 2, n_warmup_steps: 1}",
                                "optim.eta=tag(log, interval(0.003, 1))", "optim.momentum=interval(0, 0.9)",
                                "model.activation=choice(sigmoid, relu)")),
        Replay("study at random", (*STUDY, "hydra.sweeper.n_trials=9", "hydra.sweeper.sampler=random",
                                   "hydra.sweeper.seed=3", "hydra.sweeper.pruner=asha", "repeats=2",
                                   "hydra.sweeper.pruner_options={min_resource: 2, reduction_factor: 2}",
                                   "optim.eta=tag(log, interval(0.003, 1))", "model.dropout=interval(0, 0.5)")),
    ]  # fmt: skip


def _experiments(names: Sequence[str]) -> list[Replay]:
    """A run for the experiments of each task, because trials that train together are ranked by one score."""
    by_task = dict[str, list[str]]()
    for name in names:
        by_task.setdefault(composed([f"+exp={name}"])["task"]["name"], []).append(name)
    return [
        Replay(
            f"experiments to {task}", (*(["-m"] if own[1:] else []), *SHORT, "batch_size=10", f"+exp={','.join(own)}")
        )
        for task, own in by_task.items()
    ]


def _choice(key: str, values: Sequence[str]) -> str:
    return f"{key}={','.join(values)}"
