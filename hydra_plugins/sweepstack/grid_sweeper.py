"""hydra/sweeper=basic: every combination, as Hydra's own sweeper lists them; checking them is left to the launcher.

Takes the name of Hydra's own sweeper, which is the default: named in conf/config.yaml, another one would win over the
sweeper that a file in sweeps/ asks for. Hydra registers its own plugins first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser


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
        """As Hydra's; an interval is no grid. Raises ConfigError."""
        from src.config import ConfigError

        overrides = OverridesParser.create().parse_overrides(list(arguments))
        endless = [one.get_key_element() for one in overrides if one.is_interval_sweep()]
        if endless:
            keys = ", ".join(endless)
            raise ConfigError(
                f"{keys}: an interval has no end of values for a grid; accepted: a list such as 0.1,0.3,1, "
                "or an interval in a study, hydra/sweeper=optuna"
            )
        return super().sweep(arguments)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Left to the launcher."""
