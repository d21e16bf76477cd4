"""What model.target, a class of the user's, excludes: keys of the layers that it replaces, tasks that need layers."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.config.model import ModelConfig
from src.config.problems import written
from src.config.schema import RunConfig
from src.config.task import TIED

# What a network of a class of the user's reads.
_READ = ("target", "args", "per_member", "start")
# conf/model/shallow.yaml sets this value, which is not the schema's default: nobody has asked for it.
_SET = {"hidden": [100]}


def problems(model: ModelConfig, task: str, pretraining: Mapping[str, Any]) -> list[str]:
    """What contradicts model.target; without a target, what only it can read. pretraining: the section as given."""
    lines = [
        f"model.per_member = {written(model.per_member)}: {name} is no key of model.args; accepted: "
        f"{', '.join(model.args) or 'nothing, without model.args'}"
        for name in model.per_member
        if name not in model.args
    ]
    if model.target is None:
        if model.args:
            lines.append(f"model.args = {written(model.args)}: builds the class of model.target, which is not set")
        return lines
    field = f"model.target = {model.target!r}"
    if task in TIED:
        lines.append(f"{field}: task={task} trains one layer with tied weights; accepted: null")
    if pretraining.get("task", "none") != "none":
        lines.append(f"{field}: pretrain={pretraining['task']} needs the list of its layers; accepted: pretrain=none")
    return lines


def unread(configs: Sequence[RunConfig]) -> list[str]:
    """A line for each key of the layers that is set where all configurations train a class of the user's instead."""
    models = [config.model for config in configs]
    if not all(model.target for model in models):
        return []
    lines = []
    for key, field in ModelConfig.model_fields.items():
        default = field.get_default(call_default_factory=True)
        value = next((value for one in models if (value := getattr(one, key)) != default), default)
        if key not in _READ and value not in (default, _SET.get(key)):
            lines.append(
                f"model.{key} = {written(value)}: model.target={models[0].target} does not read it; accepted: "
                f"{written(default)}, or model.target=null"
            )
    return lines
