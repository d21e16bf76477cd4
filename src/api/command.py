"""The command python -m src.train, run in this process as a part of another program, where it leaves nothing behind.

What a command changes in its process is put back: the arguments, the folder, the environment, Hydra's state, torch's
threads. Hydra's state is one for the process, so one command runs at a time; another thread's waits.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from src.config.error import UserError

_ONE_AT_A_TIME = RLock()


class Begun:
    """What a command has begun: Hydra's part of its configuration, None as long as it has begun nothing."""

    def __init__(self) -> None:
        self.hydra: Any = None
        self.threads = 0  # of torch, before


def run(arguments: list[str], begun: Begun) -> None:
    """Runs the command with these arguments and notes in `begun` what it begins.

    Raises UserError for what the command would have refused, and KeyboardInterrupt where the user stops it.
    """
    with _ONE_AT_A_TIME, _put_back(begun):
        from hydra.version import setbase

        from src.commands import train
        from src.commands.before_run import BeforeRun
        from src.config.compose import UNLOGGED

        if BeforeRun.begins is not None:
            raise UserError("A run is under way in this thread; accepted: another one after it")
        setbase("1.3")  # as hydra.main does, for what the program has set may be another
        BeforeRun.begins = lambda hydra: _note(begun, hydra)
        sys.argv = ["train", *arguments, *UNLOGGED]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # errors are raised, not printed
        try:
            train.run_command_line()
        except SystemExit:  # the user has stopped a plain run, and its results are kept
            raise KeyboardInterrupt from None
        except OSError as error:
            raise UserError(f"A file or folder could not be used: {error}. Nothing more was started.") from error
        finally:
            BeforeRun.begins = None


def _note(begun: Begun, hydra: Any) -> None:
    import torch

    begun.hydra, begun.threads = hydra, torch.get_num_threads()


@contextmanager
def _put_back(begun: Begun) -> Iterator[None]:
    """A context at whose end the process is as it was."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.version import VersionBase

    argv, folder, full = sys.argv, os.getcwd(), os.environ.get("HYDRA_FULL_ERROR")  # noqa: PTH109
    running, own, base = GlobalHydra.instance().hydra, HydraConfig.instance().cfg, VersionBase.instance().getbase()
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        sys.argv = argv
        os.chdir(folder)
        os.environ.pop("HYDRA_FULL_ERROR", None)
        os.environ |= {} if full is None else {"HYDRA_FULL_ERROR": full}
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = running, own
        VersionBase.instance().version_base = base
        if begun.threads:
            sys.modules["torch"].set_num_threads(begun.threads)
