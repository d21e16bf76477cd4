"""hydra/sweeper=basic: every combination, as Hydra's own sweeper lists them; checking them is left to the launcher.

Takes the name of Hydra's own sweeper, which is the default: named in conf/config.yaml, another one would win over the
sweeper that a file in sweeps/ asks for. Hydra registers its own plugins first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

NUMBERED = "${hydra.job.num}"  # hydra.sweep.subdir where nobody says otherwise, in conf/config.yaml


@dataclass
class GridSweeperConfig:
    """As hydra/sweeper=basic: `max_batch_size` jobs at a time, `params` as on the command line."""

    _target_: str = "hydra_plugins.sweepstack.grid_sweeper.GridSweeper"
    max_batch_size: int | None = None
    params: Any = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=GridSweeperConfig, provider="sweepstack")


class GridSweeper(BasicSweeper):
    """Hydra's sweeper without its own check, which composes every job: the stacked launcher checks them all at once."""

    def sweep(self, arguments: list[str]) -> Any:
        """As Hydra's; an interval is no grid, and no two jobs share a folder. Raises UserError."""
        from src.config.error import ConfigError

        overrides = OverridesParser.create().parse_overrides(list(arguments))
        params = OverridesParser.create().parse_overrides(self._parse_config())
        endless = [one.get_key_element() for one in (*params, *overrides) if one.is_interval_sweep()]
        if endless:
            keys = ", ".join(endless)
            raise ConfigError(
                f"{keys}: an interval has no end of values for a grid; accepted: a list such as 0.1,0.3,1, "
                "or an interval in a study, hydra/sweeper=optuna"
            )
        self._check_folders(params, overrides)
        return super().sweep(arguments)

    def _check_folders(self, params: Sequence[Override], typed: Sequence[Override]) -> None:
        """Before Hydra writes anything, of all batches; a fresh folder with the jobs' numbers in it needs no look."""
        from src.sweep.launch import refuse_folders

        assert self.config is not None
        assert self.hydra_context is not None
        sweep: Any = self.config.hydra.sweep
        raw: Any = OmegaConf.to_container(sweep)
        folder = Path(str(sweep.dir))  # read first: its time of day is then the jobs' as well
        if raw["subdir"] == NUMBERED and not folder.exists():
            return
        loader = self.hydra_context.config_loader
        jobs = [job for batch in self.split_arguments([*params, *typed], None) for job in batch]
        composed = [loader.load_sweep_config(self.config, list(job)) for job in jobs]
        refuse_folders(composed, 0, ["a grid"] * len(jobs))

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Left to the launcher."""
