"""Whether a run may be compared with an experiment's published figure.

It may if it trains what the experiment in conf/exp trains: the same network, images, order, update and length. Seeds,
repeats, device and the folder of the data do not matter.
"""

from functools import cache
from typing import Any

from omegaconf import OmegaConf

from src.config.compose import CONF, composed
from src.config.schema import RULES, SCHEDULES, RunConfig, unread
from src.config.task import TASK_KEYS


def is_as_published(config: RunConfig) -> bool:
    """Whether `config.published` may stand beside the results of `config`.

    True also for a figure that no experiment has: the user has set it. Needs a published figure.
    """
    assert config.published is not None
    own = _with_figure(config.published)
    return not own or trained(config) in own


def trained(config: RunConfig) -> dict[str, Any]:
    """The settings on which the result of one network, or one ensemble, depends; those without effect are left out."""
    optim, stop, data = (section.model_dump() for section in (config.optim, config.stop, config.data))
    unused = unread(RULES, optim["rule"]) | unread(SCHEDULES, optim["schedule"])
    unused |= {"nesterov"} if not optim["momentum"] else set()
    unused |= {"decay_all"} if not (optim["lambda_"] or optim["l1"] or optim["weight_decay"]) else set()
    dropouts = config.model.dropouts_by_layer()
    return {
        "layers": config.shapes(),
        "target": config.model.target and (config.model.target, config.model.args),
        "task": config.task.model_dump(include={"name", *TASK_KEYS.get(config.task.name, ())} - {"metrics"}),
        "init": (config.model.init, config.model.start),
        "pretrain": config.pretrain.model_dump() if config.pretrain.wanted else None,
        "dropout": (dropouts, config.model.dropout_convention) if any(dropouts) else None,
        "optim": {key: value for key, value in optim.items() if key not in unused},
        "average": config.average.model_dump() if config.average.rule != "none" else None,
        "stop": stop if stop["rule"] != "none" else stop["keep"],
        "data": {key: value for key, value in data.items() if key not in ("name", "dir")},
        "augment": config.augment.model_dump() if config.augment.wanted or config.augment.view_count > 1 else None,
        "batch_size": config.batch_size,
        "max_epochs": config.max_epochs,
        "ensemble": config.ensemble,
        "precision": config.trainer.precision,
    }


@cache
def _with_figure(published: float) -> list[dict[str, Any]]:
    """The settings, as `trained` gives them, of each experiment with this published figure."""
    figures = {path.stem: OmegaConf.select(OmegaConf.load(path), "published") for path in (CONF / "exp").glob("*.yaml")}
    names = sorted(name for name, figure in figures.items() if figure == published)
    return [trained(RunConfig.model_validate(composed([f"+exp={name}"]))) for name in names]
