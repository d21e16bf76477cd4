"""Which engine trains a stack: the cpu engine where it serves it exactly, else the torch engine."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from src.config.error import ConfigError
from src.config.schema import RunConfig
from src.data.dataset import Dataset
from src.training.augment.augmenter import Augmenter
from src.training.device import cores
from src.training.engines.compilation import COMPILE_GAIN, compilation_pays, fastest_threads, timed
from src.training.engines.engine import Engine, State
from src.training.engines.one_by_one import ChannelsLast, OneByOne, has_convolutions
from src.training.engines.stacking import why_not
from src.training.engines.torch_engine import TorchEngine
from src.training.hyper import Hyper
from src.training.spec import StackSpec

# Seconds that the timed training of a few steps should last, after two mini-batches to warm up and to estimate.
PROBE_SECONDS = 0.3


@dataclass
class EngineChoice:
    """Chooses the engine for one stack, by `trainer.engine` and by what the engines refuse to serve."""

    config: RunConfig
    spec: StackSpec
    device: torch.device
    say: Callable[[str], None] = print

    def timed(
        self, hyper: Hyper, state: State, dataset: Dataset, order: Tensor, augmenter: Augmenter
    ) -> tuple[Engine, float]:
        """The engine with its members in `state`, and the seconds that a step of the whole stack takes.

        order: a mini-batch of `dataset`, (K or 1, 1, B), to measure the time with; the training on it is undone.
        augmenter: of these members; where it changes images, a step's time is that with changed images.
        Raises ConfigError where trainer.engine=cpu is asked for, and its kernels cannot be used on this machine.
        """
        eta, start = hyper["eta"].float(), torch.zeros(len(hyper["seed"]), dtype=torch.int64)
        train = dataset.train

        def seconds_a_step(engine: Engine) -> float:
            """Trains a few steps by the clock and puts the first state back."""

            def probe(steps: int) -> float:
                chunk = order.repeat(1, steps, 1)
                return timed(lambda: augmenter.train(engine, train, chunk, start, eta)) / steps

            probe(1)
            result = probe(1)
            if result < PROBE_SECONDS:
                steps = max(1, min(200, round(PROBE_SECONDS / result)))
                if augmenter.changes and self.device.type == "cuda":
                    probe(steps)  # captures graphs that read the changed images of so many steps
                result = probe(steps)
            engine.load(state)
            return result

        try:
            reason = self._cpu_refusal()
            if reason is None:
                engine: Engine = _cpu_engine(self.config, self.spec, hyper, state)
                return engine, seconds_a_step(engine)
            if self.config.trainer.engine == "cpu":
                self.say(f"trainer.engine=cpu cannot serve this run ({reason}); the torch engine does.")
        except MemoryError:
            raise
        except Exception as error:  # Numba may be missing, or refuse its settings, while it is imported or compiles
            self.say(self._without_kernels(error))
        if self.spec.model.plan is None:
            return self._for_a_class(hyper, state, seconds_a_step, dataset, order)
        return self._torch_engine(hyper, state, seconds_a_step)

    def _torch_engine(
        self, hyper: Hyper, state: State, seconds_a_step: Callable[[Engine], float]
    ) -> tuple[Engine, float]:
        trainer = self.config.trainer

        def built(compiled: bool) -> TorchEngine:
            return TorchEngine(self.spec, hyper, state, self.device, trainer.precision, compiled, self.say)

        engine = built(compiled=False)
        step_seconds = self._at_its_threads(engine, seconds_a_step)
        return (built(compiled=True) if self._compiles(step_seconds) else engine), step_seconds

    def _at_its_threads(self, engine: Engine, seconds_a_step: Callable[[Engine], float]) -> float:
        """The seconds of a step with the number of threads that is asked for, or else the fastest, which stays set."""
        if self.device.type == "cpu":
            if self.config.trainer.threads:
                torch.set_num_threads(self.config.trainer.threads)
            else:
                fastest_threads(lambda: seconds_a_step(engine), cores())
        return seconds_a_step(engine)

    def _compiles(self, step_seconds: float) -> bool:
        """Whether a step of so many seconds is to be compiled."""
        wanted = self.config.trainer.compile
        if wanted != "auto":
            return wanted
        # Not on a GPU: its gain there is not measured yet, and CUDA graphs already spare most of what it would.
        steps = self.config.max_epochs * self.spec.batches
        return self.device.type == "cpu" and compilation_pays(step_seconds, steps)

    def _for_a_class(
        self,
        hyper: Hyper,
        state: State,
        seconds_a_step: Callable[[Engine], float],
        dataset: Dataset,
        order: Tensor,
    ) -> tuple[Engine, float]:
        """The engine for a network of the user's: stacked where that is possible and faster, else one by one."""
        mini_batch = dataset.train.inputs, dataset.train.targets, order[:, 0]

        def built(kind: type[TorchEngine], compiled: bool = False) -> TorchEngine:
            return kind(self.spec, hyper, state, self.device, self.config.trainer.precision, compiled, self.say)

        def refusal(kind: type[TorchEngine]) -> str | None:
            return why_not(built(kind), OneByOne(self.spec, hyper, state, self.device), *mini_batch)

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")  # by vmap: the clock shows it
            kinds: list[type[TorchEngine]] = [OneByOne]
            if (reason := refusal(TorchEngine)) is not None:
                self.say(f"{self.config.model.target} cannot be stacked ({reason}); its networks train one by one.")
            else:
                kinds.append(TorchEngine)
            if self.device.type == "cpu" and has_convolutions(self.spec.model.build()) and not refusal(ChannelsLast):
                kinds.append(ChannelsLast)
            times: dict[type[TorchEngine], float] = (
                {kind: seconds_a_step(built(kind)) for kind in kinds} if len(kinds) > 1 else {OneByOne: 0.0}
            )
            compiles = TorchEngine in times and self._compiles(times[TorchEngine])
            if compiles:
                times[TorchEngine] *= 1 - COMPILE_GAIN
                if self.config.trainer.compile is True:
                    times[TorchEngine] = 0.0
            best = min(times, key=lambda kind: times[kind])
            step_seconds = self._at_its_threads(built(best), seconds_a_step)
        # Built anew: a class may keep what steps that were timed have left.
        return built(best, compiles and best is TorchEngine), step_seconds

    def _cpu_refusal(self) -> str | None:
        """Why the cpu engine does not serve this run; None where it does."""
        trainer = self.config.trainer
        if trainer.engine == "torch":
            return "trainer.engine=torch"
        if trainer.compile is True:
            return "trainer.compile=true"
        if self.device.type != "cpu":
            return f"the device is {self.device.type}"
        with warnings.catch_warnings(record=True) as odd:
            from src.training.engines import cpu
        for one in odd:  # Numba ignores a NUMBA_ variable that it cannot read; the warning's first line names it
            self.say(str(one.message).strip().splitlines()[0])
        return cpu.engine_for(self.spec).refuses(self.spec)

    def _without_kernels(self, error: Exception) -> str:
        """One line: that `error` keeps the kernels from training here, and the torch engine does.

        Raises ConfigError where trainer.engine=cpu asks for them.
        """
        reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}"
        if variables := [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_")]:
            reason += f"; the environment sets {', '.join(variables)}"
        if self.config.trainer.engine == "cpu":
            raise ConfigError(
                f"trainer.engine = 'cpu': its kernels cannot be used here ({reason}); "
                "accepted: auto or torch, which train without them, more slowly"
            ) from error
        return f"The cpu engine's kernels cannot be used here ({reason}); the torch engine trains, more slowly."


def _cpu_engine(config: RunConfig, spec: StackSpec, hyper: Hyper, state: State) -> Engine:
    import numba

    from src.training.engines import cpu

    if numba.config.DISABLE_JIT:  # without compilation the kernels fail, or take hours
        raise RuntimeError("Numba's compiler is turned off")
    if config.trainer.threads:  # with which torch evaluates tied weights
        torch.set_num_threads(config.trainer.threads)
    return cpu.engine_for(spec)(spec, hyper, state, config.trainer.threads or cores())


def evaluating_engine(training: Engine, config: RunConfig, hyper: Hyper, state: State) -> Engine:
    """A second engine of the kind of `training`, with members in `state`, which leaves `training` as it is."""
    if isinstance(training, TorchEngine):
        kind = (
            type(training) if isinstance(training, OneByOne) else TorchEngine
        )  # also where kernels train tied weights
        return kind(training.spec, hyper, state, training.device, training.precision)
    return _cpu_engine(config, training.spec, hyper, state)
