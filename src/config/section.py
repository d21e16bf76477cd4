"""A section of the configuration, and the mark of a field that may differ between the members of one stack."""

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

SEEDS = 2**32  # a seed is a whole number below this one

# Marks a field whose value may differ between the members of one stack; every other field must be equal in a stack.
PER_MEMBER: JsonDict = {"per_member": True}


class Section(BaseModel):
    """The base of the configuration's sections: unknown keys are refused, types not converted ("3" is no number)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def is_per_member(field: FieldInfo) -> bool:
    """Whether the members of one stack may differ in this field."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("per_member"))
