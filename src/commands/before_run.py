"""What Hydra calls before it makes a run's folder: a run that cannot begin leaves nothing, and overwrites nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from src.config.error import CommandEnded, UserError
from src.config.folder import refuse_taken


class BeforeRun(Callback):
    """Checks a plain run's configuration and folder; ends the command where one of them cannot be used.

    Those of a multirun are checked by its launcher, for all jobs at once.
    """

    begins: ClassVar[Callable[[Any], None] | None] = None  # is told Hydra's part of the configuration of what begins

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Ends the command where the run cannot begin."""
        from src.config.check import parse

        try:
            own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            plan = parse(OmegaConf.to_container(own, resolve=True)).plan
            if not plan:
                refuse_taken([Path(str(config.hydra.run.dir))], ["this run"])
        except UserError as error:
            raise CommandEnded(error) from None
        except Exception:
            pass  # any other problem is reported by the run itself
        self._tell(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Tells `begins` of the multirun."""
        self._tell(config)

    def _tell(self, config: DictConfig) -> None:
        if BeforeRun.begins is not None:
            BeforeRun.begins(config.hydra)
