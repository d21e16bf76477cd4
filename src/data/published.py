"""Where the files of a published set are found, and that they are they.

In this order: the folder data.dir, the folder that an environment variable names, the user's cache, a download into it.
A folder that was named is used or refused, never passed over.
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
    """Where downloaded files of the set `name` stay: in the user's cache folder of this system."""
    return Path(pooch.os_cache("sweepstack")) / name


@dataclass(frozen=True)
class Published(Generic[Content]):
    """A published set: what it is called in messages, and how a folder of its files is read and filled."""

    title: str  # MNIST
    variable: str  # of the environment: MNIST_DIR
    files: str  # what a folder must hold, in words
    checked: str  # what `read` has made sure of, in words
    instead: str  # what other sets in this format are read by, in words that end in "; ", or nothing
    cache: Path
    read: Callable[[Path], Content]  # raises DataError where the folder does not hold the set
    fetch: Callable[[Path], str]  # fills the folder, returns where from; raises DataError

    def find(self, directory: str | None) -> tuple[Content, str]:
        """What `read` gives, and one line that says where it came from; `directory` is data.dir.

        Raises DataError where a named folder is not the set's, UnavailableError where none was named and the download
        failed.
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
            pass  # not downloaded yet, or not whole
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
