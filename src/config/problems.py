"""What is wrong with a configuration, in words: the field, the value received, the rule and what is accepted."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from src.config import augment
from src.config.address import RUNS_RULE, masked
from src.config.folder import NAME_RULE
from src.config.model import ConvLayer, FcLayer
from src.config.schema import RunConfig

_PARALLEL = "trials train together as it is; hydra.launcher.max_members=N limits the networks at once"
_DIRECTION = (
    "it follows from hydra.sweeper.objectives: [validation_accuracy] is maximised, [parameters] and [seconds] minimised"
)
_SPACE = "the search space is hydra.sweeper.params in a file, KEY='interval(LOW, HIGH)' or the like in the command"

# Keys of other tools, with the hint to what takes their place here.
ELSEWHERE = {
    **dict.fromkeys(("n_jobs", "n_parallel", "max_concurrent"), _PARALLEL),
    **dict.fromkeys(("direction", "directions"), _DIRECTION),
    **dict.fromkeys(("param", "search_space"), _SPACE),
    **dict.fromkeys(("lr", "learning_rate"), "did you mean optim.eta?"),
}


def unknown_key(key: str, known: list[str]) -> str:
    """The message for a key that does not exist: a hint for a key of other tools, else the nearest `known` keys."""
    for word in key.lstrip("+~").split("."):
        if word in ELSEWHERE:
            return f"{key}: no such key; {ELSEWHERE[word]}"
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    section = key.rsplit(".", 1)[0] + "." if "." in key else ""
    near = near or [name for name in known if section and name.startswith(section)]
    if not near:
        return f"{key}: no such key; python -m src.train --help lists all keys"
    return f"{key}: no such key; did you mean {_list(near)}?"


def all_keys() -> list[str]:
    """Every key of the schema, such as optim.eta."""

    def walk(section: type[BaseModel], prefix: str) -> Iterator[str]:
        for name, field in section.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from walk(field.annotation, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}"

    return list(walk(RunConfig, ""))


def is_key(key: str) -> bool:
    """Whether the schema has this key; of model.args, which are the arguments of a class of the user's, it has any."""
    return key in all_keys() or is_open(key)


def is_open(key: str) -> bool:
    """Whether `key` names one of the entries of model.args, which no schema lists."""
    return key.startswith("model.args.")


def text_keys() -> list[str]:
    """The keys of the schema whose values may be any text."""

    def is_text(key: str) -> bool:
        section, _, name = key.rpartition(".")
        schema = RunConfig.model_fields[section].annotation if section else RunConfig
        annotation = schema.model_fields[name].annotation  # type: ignore[union-attr]
        return annotation is str or str in get_args(annotation)

    return [key for key in all_keys() if is_text(key)]


# Messages for those kinds of pydantic's errors whose own text does not say what would be accepted.
RULES = {
    "missing": "is missing and has no default",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 64 bits",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "list_type": "must be a list such as [20,40]",
    "model_type": "must be a section with keys of its own",
    "dict_type": "must be a section with keys of its own",
}

_OWN_RULES = {
    "trainer.devices": "must be auto or one GPU, such as cuda:0 or cuda:1; trainer.accelerator names what is no GPU",
    "name": NAME_RULE,
    "data.validation": "must be a whole number of examples, at least 1, or with own data a part of them such as 0.2",
    "data.test": "must be a whole number of examples, at least 1, or a part of them such as 0.2; or null",
    "data.function": "must be the dotted name of a function, package.module.name, or null",
    "data.target": "must be the name of a column, or a list of names such as [height,weight]",
    "data.drop": "must be a list of names of columns such as [id]",
    "data.columns": "must be a list of names of columns such as [height,weight], or null",
    **augment.RULES,
    "trainer.compile": "must be auto, true or false",
    "trainer.precision": "must be 32, tf32 or bf16",
    "tracking.uri": RUNS_RULE,
    "task.class_weights": "must be balanced, or a list of a weight a class, each at least 0; [] for none",
    "model.padding": "must be same, or a number of pixels, at least 0",
    "pretrain.corruption": "must be a list such as [0.1] or, a value a layer, [0.1,0.2]; each at least 0 and below 1",
    "model.target": "must be the dotted name of a class, package.module.Class, or null",
    "model.args": "must be keyword arguments such as {width: 64}; accepted: what JSON can hold, with finite numbers",
    "model.per_member": "must be a list of names in model.args such as [dropout]",
    "model.layers": "must be a list of layers such as [{conv: 20, field: 5, pool: max}, {fc: 100, dropout: 0.5}]",
}


def explain(
    item: Any, schema: type[BaseModel] = RunConfig, prefix: str = "", own_rules: Mapping[str, str] = _OWN_RULES
) -> str:
    """The message for `item`, one of pydantic's errors over `schema`.

    prefix: what stands before the schema's keys on the command line, such as "hydra.sweeper."; own_rules: the messages
    that replace pydantic's, by key without the prefix or by the key's first part.
    """
    path = [part for part in item["loc"] if not _is_no_key(str(part))]
    if item["loc"][-1] in ("conv", "fc"):
        path.append(item["loc"][-1])
    own = ".".join(str(part) for part in path)
    key = prefix + own
    if item["type"] == "extra_forbidden":
        return _extra_key(key, own, item["loc"], schema, prefix)
    rule = RULES.get(item["type"], item["msg"].replace("Input should be", "must be").replace("String should", "must"))
    everywhere = re.sub(r"layers\.\d+\.", "", own)  # a key of one layer is one of the model's
    rule = own_rules.get(everywhere) or own_rules.get(str(path[0])) or rule + _range(path, schema)
    value = item["input"]
    received = "" if item["type"] == "missing" else f" = {written(masked(value) if isinstance(value, str) else value)}"
    return f"{key}{received}: {rule}"


def _is_no_key(part: str) -> bool:
    """Whether this part of an error's location is no key, but names one of several types that pydantic has tried."""
    return part in ("conv", "fc", "bool", "int", "float", "str", "list[str]", "list[float]") or part.startswith(
        ("literal[", "constrained")
    )


def _extra_key(key: str, own: str, location: tuple[Any, ...], schema: type[BaseModel], prefix: str) -> str:
    if schema is not RunConfig:
        known = [f"{prefix}{name}" for name in schema.model_fields]
        return unknown_key(key, known) if known else f"{key}: no such key; there is nothing to set here"
    if own in ("exp", "sweeps"):
        return f"{key}: the first line of its file must be # @package _global_"
    return _extra_layer_key(key, location) if "layers" in location else unknown_key(key, all_keys())


def _extra_layer_key(key: str, location: tuple[Any, ...]) -> str:
    layer = ConvLayer if "conv" in location[:-1] else FcLayer
    return f"{key}: no such key in a layer of this kind; accepted: {', '.join(layer.model_fields)}"


def _range(path: list[Any], schema: Any) -> str:
    """The range that the field at `path` in `schema` accepts, in words; empty where it is not limited."""
    field = None
    for part in path:
        fields = getattr(schema, "model_fields", {})
        if part not in fields:
            break
        field = fields[part]
        schema = field.annotation
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    ends = [
        f"{word} {getattr(limit, name):.15g}"
        for limit in (field.metadata if field else ())
        for name, word in words.items()
        if hasattr(limit, name)
    ]
    optional = " (or null)" if field and type(None) in get_args(field.annotation) else ""
    return f"; accepted: {' and '.join(ends)}{optional}" if ends else ""


def written(value: Any) -> str:
    """A value as messages show it: without passwords, at most 60 characters."""
    text = masked(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" or {names[-1]}"
