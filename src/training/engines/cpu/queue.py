"""Threads that work off the members' tasks, and the order in which they do."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

# Pieces in which each member's chunk is trained: after each piece the thread takes the member that is furthest behind,
# so that threads stay busy where K is no multiple of their number.
_PIECES = 8


def piece_length(steps: int) -> int:
    """The steps of a piece of a chunk of `steps` steps."""
    return max(1, -(-steps // _PIECES))


class Queue:
    """The tasks (member, start) of a chunk; hands out next that of the member with the most left to do.

    With equally long tasks no other order ends earlier. A member's tasks are handed out in order, the next one only
    when the one before is done; with `together`, several of them may be under way at once.
    """

    def __init__(self, members: int, starts: Iterable[int], together: bool = False) -> None:
        self._left = [list(starts)[::-1] for _ in range(members)]
        self._held = set[int]()
        self._together = together
        self._lock = Lock()

    def next(self, done: tuple[int, int] | None) -> tuple[int, int] | None:
        """The next task for a thread that has finished `done` (None at its first call); None where none is left."""
        with self._lock:
            if done is not None:
                self._held.discard(done[0])
            free = [member for member, left in enumerate(self._left) if left and member not in self._held]
            if not free:
                return None
            member = max(free, key=lambda member: (len(self._left[member]), -member))
            if not self._together:
                self._held.add(member)
            return member, self._left[member].pop()


class Workers:
    """A pool of threads."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads)

    def run(self, queue: Queue, task: Callable[[int, int, int], None]) -> None:
        """Works off the queue by all threads, calling task(member, start, thread) for each; raises the first error."""

        def worker(thread: int) -> None:
            done = None
            while (done := queue.next(done)) is not None:
                task(*done, thread)

        for future in [self._pool.submit(worker, thread) for thread in range(self.threads)]:
            future.result()
