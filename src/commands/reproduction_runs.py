"""The runs of the reproduction, and what its page says of them."""

from dataclasses import dataclass

REPEATS = 3
SHORT = ("shallow", "conv_only", "conv", "conv2", "conv2_tanh", "conv2_relu")
EXPANDED = ("expanded", "expanded_2fc100", "expanded_fc300", "expanded_2fc300", "expanded_fc1000", "expanded_2fc1000")
ENSEMBLES = {f"ensemble_{repeat + 1}": f"seed={5 * repeat}" for repeat in range(REPEATS)}  # five networks each
# Runs that ask whether the chapter's fixed order of the images explains why `conv2_relu` falls short of its figure:
# both orders, with other seeds than those of the table.
ORDERS = {
    "conv2_relu_stored": ["+exp=conv2_relu", "seed=3", "repeats=6"],
    "conv2_relu_reshuffled": ["+exp=conv2_relu", "seed=3", "repeats=6", "data.order=epoch"],
}
ORDER_NOTES = {
    "conv2_relu_stored": "`+exp=conv2_relu seed=3`: six seeds that the row above has not, in stored order",
    "conv2_relu_reshuffled": "the same six seeds with `data.order=epoch`: reshuffled before every epoch",
}


@dataclass(frozen=True)
class TutorialModel:
    """A row of the table of the tutorial's models; its run is `+exp=NAME`, or that of `experiment`, with `changes`.

    published: the published figure in the task's score; None: that of the experiment, an accuracy, shown as an error.
    counted: the images of validation and test set over which the source has counted, if not all of them.
    while_training: whether the source gives its score for the training images, averaged while an epoch trains.
    """

    repeats: int = REPEATS
    published: float | None = None
    counted: int | None = None
    while_training: bool = False
    note: str = ""
    experiment: str | None = None
    changes: tuple[str, ...] = ()

    def overrides(self, name: str) -> list[str]:
        """The run's overrides; name: the run's."""
        return [f"+exp={self.experiment or name}", f"repeats={self.repeats}", *self.changes]


TUTORIAL = {
    "logistic": TutorialModel(
        repeats=1,
        counted=9_600,
        note="published after 74 epochs; weights start at zero and images keep their order, so all seeds are equal",
    ),
    "mlp": TutorialModel(note="published after 828 epochs"),
    "lenet": TutorialModel(),
    "dae": TutorialModel(note="each pixel zeroed with probability 0.3"),
    "dae_clean": TutorialModel(note="no pixel zeroed", experiment="dae", changes=("task.corruption=0",)),
    "rbm": TutorialModel(
        published=-62.0,
        while_training=True,
        note="published: of the training images, averaged while the last epoch trains",
    ),
    "sda": TutorialModel(note="published after 36 epochs"),
    "dbn": TutorialModel(note="published after 46 epochs"),
}
# The name of each run, with its overrides. The ensembles are three runs, because each of them takes long. `dropout`
# needs no run of its own: its networks are the ensembles' networks with the same seeds, number for number.
RUNS = (
    {name: [f"+exp={name}", f"repeats={REPEATS}"] for name in SHORT}
    | {name: model.overrides(name) for name, model in TUTORIAL.items()}
    | {name: [f"+exp={name}", f"repeats={REPEATS}"] for name in EXPANDED}
    | {name: ["+exp=ensemble", seed] for name, seed in ENSEMBLES.items()}
    | ORDERS
)
DATA = ["data=mnist"]
SAMPLES = "samples.png"  # a figure that is drawn anew for the page, with more steps
# The rows of the chapter's table, in its order, without the two that come from the ensembles.
TABLE = (
    *SHORT,
    "expanded",
    "expanded_fc300",
    "expanded_fc1000",
    "expanded_2fc100",
    "expanded_2fc300",
    "expanded_2fc1000",
)
FIGURES = {  # caption -> the run and the file that shows it
    "The first layer's 20 filters, of the best network of the first ensemble": ("ensemble_1", "filters_conv1.png"),
    "The second layer's 40 maps of it": ("ensemble_1", "filters_conv2.png"),
    "The test images that the first ensemble misclassifies": ("ensemble_1", "errors.png"),
    "Validation and training of conv2_relu": ("conv2_relu", "overfitting.png"),
    "dae: filters with corruption 0.3": ("dae", "filters_fc1.png"),
    "dae: filters without corruption": ("dae_clean", "filters_fc1.png"),
    "dae: reconstructions with corruption 0.3": ("dae", "reconstructions.png"),
    "dae: validation and training by epoch": ("dae", "overfitting.png"),
    "rbm: filters": ("rbm", "filters_fc1.png"),
    "rbm: samples of 20 chains, 1,000 Gibbs steps between rows": ("rbm", SAMPLES),
    "rbm: pseudo-likelihood by epoch": ("rbm", "overfitting.png"),
    "rbm: free energy of training and validation images": ("rbm", "free_energy.png"),
    "sda: filters of the first layer after pretraining": ("sda", "../pretrain-1/figures/filters_fc1.png"),
    "dbn: filters of the first layer after pretraining": ("dbn", "../pretrain-1/figures/filters_fc1.png"),
    "dbn: samples of 20 chains, 1,000 Gibbs steps between rows": ("dbn", SAMPLES),
}
COMPARISON = "tanh against sigmoid: validation accuracy by epoch of conv2_tanh and conv2, three networks each"
