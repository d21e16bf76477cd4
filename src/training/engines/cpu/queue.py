"""Threads that work off the members' tasks, and the order in which they do."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from heapq import heapify, heappop, heappush
from threading import Lock

# Pieces into which each member's chunk is cut; costs are added up piece by piece, so this decides on their last bits.
_PIECES = 8
# Tasks that a thread has at least, as far as there are pieces: after each it takes the member that is furthest behind,
# so that threads stay busy, to within a part of this of the chunk, where K is no multiple of their number.
_TASKS = 32


def pieces(steps: int, members: int, threads: int) -> tuple[range, int, int]:
    """The starts of a member's tasks in a chunk of `steps` steps, and the steps of a task and of a piece of it.

    A task is one piece or several: handing one out takes as long as a step of a small network.
    """
    length = max(1, -(-steps // _PIECES))
    tasks = min(_PIECES, -(-_TASKS * threads // members))
    task = -(-_PIECES // tasks) * length
    return range(0, steps, task), task, length


def groups(members: int, threads: int, tasks: int) -> list[slice]:
    """The positions of K members in groups that a thread works on in one call, about `tasks` of them a thread."""
    size = max(1, members // (tasks * threads))
    return [slice(first, min(first + size, members)) for first in range(0, members, size)]


class Queue:
    """The tasks (member, start) of a chunk; hands out next that of the member with the most left to do.

    With equally long tasks no other order ends earlier. A member's tasks are handed out in order, the next one only
    when the one before is done; with `together`, several of them may be under way at once.
    """

    def __init__(self, members: int, starts: Iterable[int], together: bool = False) -> None:
        self._left = [list(starts)[::-1] for _ in range(members)]
        self._free = [(-len(left), member) for member, left in enumerate(self._left) if left]  # a heap
        heapify(self._free)
        self._together = together
        self._lock = Lock()

    def next(self, done: tuple[int, int] | None) -> tuple[int, int] | None:
        """The next task for a thread that has finished `done` (None at its first call); None where none is left."""
        with self._lock:
            if done is not None and not self._together:
                self._frees(done[0])
            if not self._free:
                return None
            _, member = heappop(self._free)
            start = self._left[member].pop()
            if self._together:
                self._frees(member)
            return member, start

    def _frees(self, member: int) -> None:
        if left := self._left[member]:
            heappush(self._free, (-len(left), member))


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
