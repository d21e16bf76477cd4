"""Writing files so that a reader sees them whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A context with the path of a draft, which replaces `path` at the end; where something fails, it is removed."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> Path:
    """Writes `content` so that a reader never sees half a file; returns `path`. NaN and infinity become null."""
    try:
        text = json.dumps(content, indent=1, allow_nan=False)
    except ValueError:  # raised for NaN and infinity
        text = json.dumps(finite(content), indent=1)
    return write_text(path, text + "\n")


def write_text(path: Path, text: str) -> Path:
    """Writes `text` so that a reader never sees half a file; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def finite(content: Any) -> Any:
    """`content` with None for every NaN and infinity in it."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, float) and (content != content or content in (float("inf"), float("-inf"))):
        return None
    return content
