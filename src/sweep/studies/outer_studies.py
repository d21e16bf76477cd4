"""The studies of a nested one, NAME-outer-1, NAME-outer-2, …: one an outer fold, each an ordinary study."""

from src.config.error import UserError
from src.sweep.studies.study_record import Study, read_study


def outer_name(study: str, number: int) -> str:
    """The name of the study of outer fold `number`, from 1."""
    return f"{study}-outer-{number}"


def read_outer(study: str, storage: str) -> list[Study]:
    """The studies of the outer folds of the nested one `study`, in their order; [] where the store has none.

    Those that have not begun are left out.
    """
    found = list[Study]()
    try:
        found.append(read_study(outer_name(study, 1), storage))
        for number in range(2, (found[0].settings.get("nested") or 0) + 1):
            found.append(read_study(outer_name(study, number), storage))
    except UserError:  # it is not there
        pass
    return found if found and found[0].settings.get("nested") else []
