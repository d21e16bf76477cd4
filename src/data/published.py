"""Finding the files of a published data set.

They are looked for in this order: in the folder data.dir, in the folder that an environment variable names, in the
user's cache, and by a download into the cache. A folder that was named is used or refused, never passed over.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pooch

from src.data.error import DataError, UnavailableError

Content = TypeVar("Content")


def cache_folder(name: str) -> Path:
    """The folder for downloaded files of the set `name`, in the user's cache folder."""
    return Path(pooch.os_cache("sweepstack")) / name


@dataclass(frozen=True)
class Published(Generic[Content]):
    """A published set: its names in messages, and how a folder with its files is read and filled."""

    title: str  # such as MNIST
    variable: str  # the environment variable that may name a folder, such as MNIST_DIR
    files: str  # in words: the files that a folder must hold
    checked: str  # in words: what `read` has checked
    instead: str  # in words that end in "; ": how other sets in this format are read; or empty
    cache: Path
    read: Callable[[Path], Content]  # reads a folder; raises DataError where it does not hold the set
    fetch: Callable[[Path], str]  # downloads into a folder and returns the mirror; raises DataError

    def find(self, directory: str | None) -> tuple[Content, str]:
        """The content of the set as `read` gives it, and one line that says where it came from. directory: data.dir.

        Raises DataError where a named folder does not hold the set, UnavailableError where none was named and the
        download failed.
        """
        for key, named in (("data.dir", directory), (self.variable, os.environ.get(self.variable))):
            if named:
                return self._read_named(key, named), f"{self.title} from {named} ({key}), {self.checked}"
        return self._read_cached()

    def _read_named(self, key: str, named: str) -> Content:
        try:
            return self.read(Path(named))
        except DataError as error:
            raise DataError(
                f"{key} = {named!r}: {error}. It must be a folder with {self.title}'s {self.files}: correct the path "
                f"or get the named files again; {self.instead}without a folder (data.dir=null, {self.variable} unset) "
                f"{self.title} is downloaded."
            ) from None

    def _read_cached(self) -> tuple[Content, str]:
        try:
            return self.read(self.cache), f"{self.title} from {self.cache}, {self.checked}"
        except DataError:
            pass  # not downloaded yet, or not completely
        try:
            mirror = self.fetch(self.cache)
            return self.read(self.cache), f"{self.title} from {mirror}, now in {self.cache}, {self.checked}"
        except DataError as error:
            raise UnavailableError(
                f"{self.title} is not here and could not be downloaded: {error}. Three ways out: name a folder that "
                f"holds its {self.files} with data.dir=FOLDER or the environment variable {self.variable}; connect to "
                f"a network, and they are downloaded once, to {self.cache}; or use data=digits, the small digits that "
                f"come with scikit-learn and need no network."
            ) from None
