"""What Hydra calls before it makes a run's folder: a run that cannot begin leaves nothing, and overwrites nothing."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from src.config.error import UserError
from src.config.folder import refuse_taken


class BeforeRun(Callback):
    """Checks a plain run's configuration and folder; ends the process with status 2 where one of them cannot be used.

    Those of a multirun are checked by its launcher, for all jobs at once.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Ends the process where the run cannot begin; an exception would not do, as Hydra turns it into a warning."""
        from src.config.check import parse

        try:
            own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            plan = parse(OmegaConf.to_container(own, resolve=True)).plan
            if not plan:
                refuse_taken([Path(str(config.hydra.run.dir))], ["this run"])
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        except Exception:
            return  # any other problem is reported by the run itself
