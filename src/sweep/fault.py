"""Whose fault it is that a trial broke: its own settings', or the surroundings'.

A trial whose own settings are at fault has FAILED, which `max_failures` counts, and the others go on. Where the
surroundings are (a disk, a store, a device, memory that others have taken, images that are gone, a broken
installation), no trial is to blame: the sweep stops, and each trial under way is asked again by the next start.

1. Errors of classes that only the surroundings raise, such as OSError, are the surroundings' fault.
2. A refused configuration is the trial's fault.
3. Images that cannot be read are the surroundings' fault where those read before can no longer be read either.
4. Lack of memory is the surroundings' fault where a trial of the same structure, no smaller, has ended well before.
5. For all other errors a probe decides: the trial's network, with a single map or unit a layer, trains on a few images.
   An error caused by the trial's sizes, rates or seed does not occur then; one caused by the surroundings does again.
"""

import traceback
from collections.abc import Callable
from dataclasses import replace

from src.config.error import ConfigError, SurroundingsError
from src.config.model import ConvLayer
from src.config.schema import RunConfig
from src.data.dataset import Dataset, Split
from src.data.error import DataError
from src.data.load import load
from src.training.fit import prepare, run
from src.training.memory import TooLargeError
from src.training.stack import members_of

# Roots of the modules whose errors no setting of a trial causes: databases, and the compilers of the kernels.
_LIBRARIES = ("sqlite3", "sqlalchemy", "optuna", "mlflow", "numba", "llvmlite")

PROBE_SEED = 2**32 - 1  # one that hardly any trial has
PROBE_STEPS = 2  # mini-batches

Probe = Callable[[], object]  # raises where the surroundings are at fault


def is_of_surroundings(error: Exception, probe: Probe = lambda: None) -> bool:
    """Whether the surroundings are at fault, not the trial that raised `error`.

    probe: called where the error itself does not tell; raises where the surroundings are at fault.
    """
    if isinstance(error, SurroundingsError | OSError | ImportError) or is_of_device(error):
        return True
    if type(error).__module__.partition(".")[0] in _LIBRARIES:
        return True
    if isinstance(error, ConfigError) and not isinstance(error, TooLargeError):
        return False
    try:
        probe()
    except Exception:
        return True
    return False


def is_of_device(error: BaseException) -> bool:
    """Whether a GPU broke down, told by torch's name for such errors; this process can use it no more."""
    return type(error).__name__ == "AcceleratorError"


def is_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, so that fewer members would help.

    torch has a class for that error on a GPU; on a CPU it raises a RuntimeError that only its text tells apart.
    """
    named = isinstance(error, TooLargeError | MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def read_again(config: RunConfig | None) -> None:
    """The probe for images that cannot be read: reads again those of `config`, the last that could be read.

    Raises DataError where these cannot be read any more either. None: nothing was read before.
    """
    if config is not None:
        load(config.data, config.task.kind)


def train_plainly(config: RunConfig, dataset: Dataset) -> None:
    """The probe for all other errors: trains a tiny version of `config` for a few steps. Raises what that raises."""
    plainest = {"dropout": None, "norm": "none"}
    layers = [
        layer.model_copy(update={**plainest, **({"conv": 1} if isinstance(layer, ConvLayer) else {"fc": 1})})
        for layer in config.model.all_layers()
    ]
    dataset = dataset.of_fold(0)
    batch_size = min(10, len(dataset.train))
    few = Split(*(part[: PROBE_STEPS * batch_size] for part in (dataset.train.inputs, dataset.train.targets)))
    plain = {
        "model": config.model.model_copy(update={"layers": layers, "dropout": 0.0}),
        "optim": config.optim.model_copy(update={"eta": 0.01, "lambda_": 0.0, "l1": 0.0, "momentum": 0.0}),
        "batch_size": batch_size,
        "max_epochs": 1,
        "data": config.data.model_copy(update={"folds": None}),
        "repeats": 1,
        "ensemble": 1,
        "seed": PROBE_SEED,
    }
    tiny = config.model_copy(update=plain)
    prepared = prepare([tiny], replace(dataset, train=few, sampling="none"), lambda _: None, members_of([tiny]))
    run(prepared, [])


def let_go(error: BaseException) -> None:
    """Clears the local variables that the error's traceback keeps alive, such as a stack; its text stays."""
    chain: list[BaseException | None] = [error]
    for one in chain:
        if one is not None:
            traceback.clear_frames(one.__traceback__)
            chain += [link for link in (one.__cause__, one.__context__) if link not in chain]


def stopped(error: Exception, goes_on: bool) -> SurroundingsError:
    """The SurroundingsError that tells the user why `error` stops a sweep.

    goes_on: whether the same command takes the sweep up again.
    """
    if isinstance(error, SurroundingsError):
        return error
    line = first_line(error)
    if is_of_device(error):
        line = f"the device broke down ({line})"
    elif not isinstance(error, DataError):
        kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
        line = f"no trial is to blame, the surroundings are: {kind}{line}"
    after = "start the same command again, it goes on" if goes_on else "what has ended is kept; start it again"
    return SurroundingsError(f"{line}; {after}")


def first_line(error: BaseException) -> str:
    """The first line of an error's text, at most 160 characters; the name of its class where it has no text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
