"""The options of Optuna's samplers and pruners that a configuration file can hold, by Optuna's own names.

An option left out takes the value here, which is Optuna's own default, but for QMC's `scramble` and for `percentile`,
which has no default in Optuna.
Source: the constructors in optuna.samplers and optuna.pruners, version 5.
"""

from typing import Annotated, Literal

from pydantic import Field

from src.config.section import Section


class NoOptions(Section):
    """A sampler or pruner without options."""


class TpeOptions(Section):
    """Tree-structured Parzen estimator."""

    n_startup_trials: int = Field(10, ge=0)  # trials at random before the estimate
    n_ei_candidates: int = Field(24, ge=1)
    multivariate: bool = True
    group: bool = False  # whether it is multivariate also where some keys are sampled in some trials only
    constant_liar: bool = True  # running trials count as bad ones


class GpOptions(Section):
    """Gaussian process."""

    n_startup_trials: int = Field(10, ge=0)
    deterministic_objective: bool = False


class CmaEsOptions(Section):
    """Evolution strategy with covariance matrix adaptation."""

    n_startup_trials: int = Field(1, ge=0)
    sigma0: float | None = Field(None, gt=0)
    popsize: int | None = Field(None, ge=2)
    use_separable_cma: bool = False
    with_margin: bool = False
    lr_adapt: bool = False
    consider_pruned_trials: bool = False


class QmcOptions(Section):
    """Quasi-Monte Carlo: points that fill the space evenly."""

    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: bool = True  # unscrambled, the first trial is the corner of all lowest values


class Nsga2Options(Section):
    """Genetic algorithm with non-dominated sorting."""

    population_size: int = Field(50, ge=2)
    mutation_prob: float | None = Field(None, ge=0, le=1)
    crossover_prob: float = Field(0.9, ge=0, le=1)
    swapping_prob: float = Field(0.5, ge=0, le=1)


class MedianOptions(Section):
    """The median rule: a trial ends where its best value so far is worse than the others' median at that epoch."""

    n_startup_trials: int = Field(5, ge=0)
    n_warmup_steps: int = Field(0, ge=0)  # epochs
    interval_steps: int = Field(1, ge=1)  # epochs
    n_min_trials: int = Field(1, ge=1)


class PercentileOptions(MedianOptions):
    """The median rule with another percentile than the 50th."""

    percentile: float = Field(25.0, ge=0, le=100)  # per cent of the trials that go on


class AshaOptions(Section):
    """Asynchronous successive halving: of those that reach a rung, one in `reduction_factor` goes on."""

    min_resource: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"  # epochs to the first rung
    reduction_factor: int = Field(4, ge=2)
    min_early_stopping_rate: int = Field(0, ge=0)
    bootstrap_count: int = Field(0, ge=0)


class HyperbandOptions(Section):
    """Several brackets of successive halving."""

    min_resource: int = Field(1, ge=1)  # epochs
    max_resource: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"  # epochs
    reduction_factor: int = Field(3, ge=2)
    bootstrap_count: int = Field(0, ge=0)


class WilcoxonOptions(Section):
    """A trial ends where a signed-rank test over its repeats finds it worse than the best trial."""

    p_threshold: float = Field(0.1, ge=0, le=1)
    n_startup_steps: int = Field(2, ge=0)


SAMPLERS: dict[str, type[Section]] = {
    "tpe": TpeOptions,
    "random": NoOptions,
    "grid": NoOptions,
    "gp": GpOptions,
    "cmaes": CmaEsOptions,
    "qmc": QmcOptions,
    "nsga2": Nsga2Options,
}

PRUNERS: dict[str, type[Section]] = {
    "none": NoOptions,
    "median": MedianOptions,
    "percentile": PercentileOptions,
    "asha": AshaOptions,
    "hyperband": HyperbandOptions,
    "wilcoxon": WilcoxonOptions,
}
