"""What was published stands only beside what was published: the experiment's own settings, at full length."""

import pytest

from src.config.check import parse
from src.config.compose import composed


@pytest.mark.parametrize(
    ("arguments", "published"),
    [
        (["+exp=shallow", "repeats=3", "seed=7", "trainer.threads=1", "name=mine", "data=mnist"], 97.8),
        (["+exp=shallow", "model.layers=[{fc: 100}]", "optim.decay=0.5", "model.dropout_convention=inverted"], 97.8),
        (["+exp=shallow", "optim.beta1=0.5", "optim.nesterov=true", "optim.decay_all=true"], 97.8),
        (["+exp=shallow", "optim=adam"], None),
        (["+exp=shallow", "optim.weight_decay=0.01"], None),
        (["+exp=shallow", "optim.warmup_steps=10"], None),
        (["+exp=shallow", "model.hidden=[30]", "optim.eta=0.3"], None),
        (["+exp=shallow", "max_epochs=59"], None),
        (["+exp=shallow", "stop=patience_epochs"], None),
        (["+exp=shallow", "stop.keep=last"], None),
        (["+exp=shallow", "data.order=epoch"], None),
        (["+exp=dropout", "ensemble=5"], None),  # a vote of five is `ensemble`, published as another figure
        (["+exp=dropout", "model.dropout_convention=inverted"], None),
        (["+exp=expanded_2fc100"], 99.43),  # a figure that two experiments have
        (["+exp=shallow", "optim.eta=0.3", "published=12.3"], 12.3),  # the user's own
    ],
)
def test_the_published_figure_holds_for_what_was_published(arguments: list[str], published: float | None) -> None:
    assert parse(composed(arguments)).published == published
