"""A run that was stopped or killed goes on: python -m src.resume FOLDER [KEY=VALUE ...]

FOLDER is the run's own, mlruns/hydra/DATE/TIME-NAME. It goes on after the last epoch of its checkpoint, and comes to
what it would have come to: on the cpu engine bit for bit. KEY=VALUE may change what no result depends on: figures,
tracking.KEY, of trainer all but precision, and where the same data lies: data.name, data.dir. plan=true trains nothing.
Exit status: 0 done; 1 a member failed; 2 cannot run; 130 stopped by the user.
"""

from pathlib import Path

from src.commands.arguments import run_command
from src.config.error import UserError

USAGE = "python -m src.resume FOLDER [KEY=VALUE ...]"


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_resume, arguments, __doc__, "Nothing was trained")


def _resume(arguments: list[str]) -> int:
    if not arguments:
        raise UserError(f"the run's folder is missing. Usage: {USAGE}")
    folder, changes = Path(arguments[0]), arguments[1:]
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; accepted: a run's own, mlruns/hydra/DATE/TIME-NAME. Usage: {USAGE}")

    from src.commands.train import told_status, train
    from src.config.kept_config import changed, different
    from src.config.schema import COMMANDS
    from src.runs.checkpoint import FREE, read

    saved = read(folder)
    if not saved.run:
        raise UserError(f"{folder}: is one trial of a study; with that goes on the study's own command")
    config = changed(saved.config, changes, USAGE)
    others = [key for key in different(saved.config, config) if not key.startswith(FREE)]
    others += [key for one in changes if (key := one.partition("=")[0]) in COMMANDS and key != "plan"]
    if others:
        free = ", ".join(key + "KEY" if key.endswith(".") else key for key in FREE)
        raise UserError(f"{', '.join(others)}: a run goes on as it began; accepted: {free}, plan")
    try:
        results = train(config, folder, saved.arguments, saved.label, saved)
    except OSError as error:
        raise UserError(f"a file or folder could not be used: {error}") from None
    if any(result.status == "KILLED" for result in results):
        raise KeyboardInterrupt
    return told_status(results)
