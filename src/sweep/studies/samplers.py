"""Optuna's samplers and pruners for a study's settings, seeded so that a trial depends on the study's history only.

Before each trial the sampler is seeded by the study's seed and the trial's number. So a study that was interrupted goes
on as it would have gone, several processes never draw the same, and equal studies are equal.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.samplers._lazy_random_state import LazyRandomState

from src.config.error import ConfigError
from src.sweep.space.settings import StudySettings

_PRUNERS: dict[str, type[BasePruner]] = {
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "asha": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
    "wilcoxon": WilcoxonPruner,
}


def make_sampler(settings: StudySettings, *, conditional: bool) -> BaseSampler:
    """The sampler; `conditional`: some keys are sampled in some trials only. Raises ConfigError for impossible options.

    A grid is walked by the study itself and needs no sampler.
    """
    options = settings.sampler_options
    with quiet(), _checked("sampler", settings.sampler):
        match settings.sampler:
            case "tpe":
                # Joint estimates need to know which keys occur together; with one that is always there they do.
                grouped: dict[str, Any] = {"multivariate": True, "group": True} if conditional else {}
                return TPESampler(seed=settings.seed, **(grouped | options))
            case "gp":
                return GPSampler(seed=settings.seed, warn_independent_sampling=False, **options)
            case "cmaes":
                return CmaEsSampler(seed=settings.seed, warn_independent_sampling=False, **options)
            case "qmc":
                # Unscrambled, the sequence starts in the corner where every key has its lowest value.
                evenly = {"scramble": True} | options
                return QMCSampler(seed=settings.seed, warn_independent_sampling=False, **evenly)
            case "nsga2":
                return NSGAIISampler(seed=settings.seed, **options)
            case _:
                return RandomSampler(seed=settings.seed)


def make_pruner(settings: StudySettings) -> BasePruner:
    """Optuna's pruner; one that never prunes where the study's objectives are others than the score.

    Raises ConfigError for impossible options; for pruner=none, options are ignored.
    """
    if settings.pruner == "none" or not settings.follows_score:  # Optuna's judge a single objective only
        return NopPruner()
    options: dict[str, Any] = {"percentile": 25.0} if settings.pruner == "percentile" else {}
    with quiet(), _checked("pruner", settings.pruner):
        return _PRUNERS[settings.pruner](**(options | settings.pruner_options))


def reseed(sampler: BaseSampler, seed: list[int]) -> None:
    """Seeds every random state of a sampler and of the samplers inside it."""
    for value in vars(sampler).values():
        if isinstance(value, LazyRandomState):
            value.rng.seed(seed)
        elif isinstance(value, BaseSampler):
            reseed(value, seed)


@contextmanager
def sampling(sampler: BaseSampler) -> Iterator[None]:
    """A context for sampling one trial, in which a Gaussian process uses one thread.

    Its matrices are so small that threads only wait for each other: 80 ms on one thread, 380 ms on two.
    """
    if not isinstance(sampler, GPSampler):
        yield
        return
    from src.data.one_thread import one_thread

    with one_thread():
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """A context without Optuna's warnings that parts are experimental: they are used knowingly, and tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _checked(kind: str, name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ConfigError(f"hydra.sweeper.{kind}_options: {name} refuses them: {error}") from None
