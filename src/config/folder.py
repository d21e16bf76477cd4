"""The folder of a run, or of one trial of a sweep: where it may lie, and who owns it.

A folder has one owner for good, a run or a trial, named in its file `.owner`. A run claims its folder when it begins,
so that no results are overwritten; it is still the owner when it goes on, as is the next attempt of a study's trial.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePath
from re import sub

from src.config.error import UserError
from src.config.wording import command

OWNER = ".owner"
RUN = "run "  # how the name of an owner begins that is a run, not a trial
CHECKPOINT = "checkpoint.pt"
EARLIER = "an earlier run"
LEFT = ("result.json", CHECKPOINT)  # files that show that a run was here, even if its version wrote no `.owner`
NAME_BYTES = 200  # the longest name that becomes part of a file's name; file systems take 255 bytes for the whole


NAME_RULE = (
    f"must be fit for a folder's name; accepted: 1 to {NAME_BYTES} bytes without slashes, line breaks and the like, or "
    "a space at an end, and not . or .."
)


def is_name(text: str) -> bool:
    """Whether the text may be a folder's name, or a part of one (NAME_RULE says what is accepted)."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # the text holds a byte that could not be decoded
        return False
    hidden = any(letter in "/\\" or ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text)
    return not hidden and text == text.strip() and text not in ("", ".", "..") and size <= NAME_BYTES


def file_name(text: str) -> str:
    """A file's name for any text: the text itself if it can be one, else its letters with a hash of the text."""
    plain = sub(r"[^\w.-]+", "_", text)
    if plain == text and is_name(text) and not text.startswith("."):
        return text
    mark = sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{plain.lstrip('.')[:40]}-{mark}"


def trial_folder(sweep: str, below: str) -> Path:
    """The folder of a trial, at the path `below` under the folder `sweep`.

    Raises UserError where that would be the sweep's folder itself, or lie outside it.
    """
    parts = PurePath(below).parts
    wrong = [part for part in parts if part == ".." or part != part.rstrip(" .") or "\0" in part]
    if not parts or wrong or PurePath(below).is_absolute():
        raise UserError(
            f"hydra.sweep.subdir = {below!r}: must lie inside the sweep's folder, without .., and no part of it may "
            "end with a dot or a space; accepted: a path such as ${hydra.job.num}"
        )
    if any(len(os.fsencode(part)) > NAME_BYTES for part in parts):
        raise UserError(f"hydra.sweep.subdir = {below!r}: is too long; accepted: at most {NAME_BYTES} bytes a folder")
    return Path(sweep, *parts)


def refuse_shared(folders: Sequence[Path]) -> None:
    """Raises UserError where two trials have the same folder, or the folder of one lies inside that of another.

    Names that differ only in upper and lower case count as the same, as some file systems do not tell them apart.
    """
    seen = set[Path]()
    for folder in folders:
        folded = Path(str(folder).casefold())
        if folded in seen:
            raise UserError(f"hydra.sweep.subdir: several trials would write to {folder}, {_ONE_EACH}")
        seen.add(folded)
    for folder in seen:
        if seen.intersection(folder.parents):
            raise UserError(f"hydra.sweep.subdir: {folder} would lie inside another trial's folder, {_ONE_EACH}")


_ONE_EACH = (
    "each over the other's results; accepted: a folder for each, such as ${hydra.job.num} or "
    "${hydra.job.num}-${hydra.job.override_dirname}"
)


def owner(folder: Path) -> str | None:
    """The owner of a folder; EARLIER where it holds results but no owner's name, None where it is free."""
    if name := named_owner(folder):
        return name
    return EARLIER if any((folder / name).exists() for name in LEFT) else None


def named_owner(folder: Path) -> str | None:
    """The owner that the folder's file `.owner` names; None where there is no such file."""
    try:
        return (folder / OWNER).read_text(encoding="utf-8")
    except OSError:
        return None


def refuse_taken(folders: Iterable[Path], mine: Sequence[str], goes_on: bool = False) -> None:
    """Raises UserError where one of the folders has another owner than the one at the same index in `mine`.

    goes_on: the run goes on in a folder of its own, which may hold results without an owner's name (EARLIER).
    """
    for folder, name in zip(folders, mine, strict=True):
        theirs = owner(folder)
        if theirs not in (None, name) and not (goes_on and theirs == EARLIER):
            run = theirs.startswith(RUN) and (folder / CHECKPOINT).exists()
            held = f"a run that can go on: {command('resume', folder)}" if run else f"what {theirs} left"
            raise UserError(
                f"{folder}: holds {held}; accepted: another folder, by hydra.run.dir or hydra.sweep.dir, or none, for "
                "a fresh one; nothing is overwritten"
            )


@contextmanager
def owned(folder: Path, name: str, goes_on: bool = False) -> Iterator[None]:
    """A context in which `name` owns the folder; it gives the folder up at the end if the run has left nothing in it.

    Arguments and errors as of `claim`.
    """
    claim(folder, name, goes_on)
    try:
        yield
    finally:
        if not any((folder / left).exists() for left in LEFT):
            (folder / OWNER).unlink(missing_ok=True)


def claim(folder: Path, name: str, goes_on: bool = False) -> None:
    """Makes the folder, if needed, and `name` its owner from now on. Raises UserError where it has another owner.

    goes_on: the run goes on in a folder of its own, which may hold results without an owner's name (EARLIER).
    """
    refuse_taken([folder], [name], goes_on)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (folder / OWNER).open("xb", buffering=0) as file:
            file.write(name.encode())
    except FileExistsError:  # its own name, or that of a process that was faster by a moment
        refuse_taken([folder], [name])
    except OSError:  # such as a full disk: half of a name would look like another owner
        (folder / OWNER).unlink(missing_ok=True)
        raise
