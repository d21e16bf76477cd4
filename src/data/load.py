"""Loading data: from a configuration to three checked splits in memory.

data.name=NAME is served by the module src/data/NAME.py, found by that name: a new source is a new file with a function
`load`, its name in the schema's DataConfig, and conf/data/NAME.yaml with its defaults. Of the user's own data (OWN) the
module has a function `read` instead (src/data/own.py).
"""

from dataclasses import replace
from importlib import import_module
from typing import Protocol

from src.config.data import OWN, DataConfig
from src.config.task import Kind
from src.data import own
from src.data.dataset import Dataset, crossed, scaled, whitened
from src.data.error import DataError
from src.data.expansion import shifts
from src.data.scaling import fitted
from src.data.whitening import whitening

__all__ = ["DataError", "Source", "load"]

SCALED = ("channel", "centre")  # by numbers of each channel


class Source(Protocol):
    """The interface of a data source, which a module of this folder implements by its function `load`."""

    def load(self, config: DataConfig) -> Dataset:
        """The data set as stored, on the CPU, cut to data.train and data.validation; not yet scaled or expanded.

        Raises DataError, whose text is the whole message, where files or limits do not fit the configuration.
        """


def load(config: DataConfig, kind: Kind = "classes") -> Dataset:
    """The data set that `config` names, on the CPU, with a scaling and expanded training images where it asks for them.

    kind: what the targets are for the task, `TaskConfig.kind`.
    Raises DataError, whose text is the whole message, where files or limits do not fit.
    """
    if config.name in OWN:
        dealt = own.load(config, kind)
    else:
        source: Source = import_module(f"src.data.{config.name}")
        dealt = [source.load(config)]
        if config.folds is not None or config.outer_folds is not None:
            dealt = own.dealt_anew(dealt[0], config, kind)
        elif config.refit:
            dealt = [dealt[0].refitted]
    dealt = [replace(one, sampling=config.sampling) for one in dealt]
    if config.folds is not None:
        return crossed([_as_seen(fold, config) for fold in dealt])
    [dataset] = dealt
    if config.normalise in SCALED:
        dataset = replace(dataset, scaling=fitted(dataset.train.inputs, config.normalise == "centre"))
    if config.expand == "shifts":
        dataset = replace(dataset, name=f"{dataset.name}-expanded", train=shifts(dataset.train))
    return _whitened(dataset, config)


def _as_seen(fold: Dataset, config: DataConfig) -> Dataset:
    """A fold with its inputs as its networks see them, by its own training examples; folds have one set of inputs."""
    if config.normalise in SCALED:
        return scaled(fold, config.normalise == "centre")
    return _whitened(fold, config)


def _whitened(data: Dataset, config: DataConfig) -> Dataset:
    """The data, whitened where `config` says so, by all that is trained on, with the moved copies of images: a pixel
    that never varies otherwise would be divided by the root of epsilon, and the copies vary in it."""
    if config.normalise == "pca" or config.normalise == "zca":
        return whitened(data, whitening(data.train.inputs, config.normalise, config.epsilon))
    return data
