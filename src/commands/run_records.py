"""What a run leaves beside its results: its figures, and its record in the tracking store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from src.config.schema import RunConfig
    from src.data.dataset import Dataset
    from src.runs.checkpoint import Saved
    from src.runs.vote import Vote
    from src.tracking.background import BackgroundTracker
    from src.training.result import Result


def draw_figures(
    config: "RunConfig", results: "list[Result]", folder: Path, dataset: "Dataset", votes: "list[Vote]"
) -> list[Path]:
    """Draws the figures of a run in FOLDER/figures, if it wants them; returns their paths. Raises nothing."""
    if not config.figures or all(not result.history for result in results):
        return []
    from src.runs import terminal

    test = dataset.test
    try:
        from src.runs.figures import draw

        return draw(results, folder / "figures", dataset.pictures, test.targets, votes[0] if votes else None)
    except Exception as error:  # the run's results must not be lost because a picture fails
        terminal.say(f"The figures could not be drawn ({error}); everything else is kept.")
        return []


def tracking(
    config: "RunConfig",
    folder: Path,
    dataset: str,
    device: str,
    seeds: list[int],
    label: str,
    members: "Sequence[tuple[str, RunConfig]]" = (),
    saved: "Saved | None" = None,
    parent: "tuple[str, BackgroundTracker] | None" = None,
) -> "BackgroundTracker":
    """What records a run in the tracking store, in a thread of its own.

    Arguments as of open_tracker; saved: the checkpoint that knows the run, and from where it goes on; parent: the uid
    and the tracker of the run below which it stands.
    """
    from src.runs import terminal
    from src.tracking.background import BackgroundTracker
    from src.tracking.tracker import Tracker, open_tracker

    def opened() -> Tracker:
        if parent:
            parent[1].opened()  # so that the run above is there
        return open_tracker(
            config,
            folder,
            dataset=dataset,
            device=device,
            seeds=seeds,
            members=members,
            label=label,
            run=saved.run if saved else None,
            parent=parent[0] if parent else None,
            resumed=saved.words if saved and saved.goes_on else "",
            say=terminal.say,
        )

    return BackgroundTracker(opened)
