"""Borders around what runs for long: a failing task or callback is logged and counted, and the rest goes on.

Threads for calls that may hang are daemons, so that a dead mount or driver never keeps the program from ending.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from loguru import logger

P = ParamSpec("P")
T = TypeVar("T")

RETRY_AFTER = 1.0
"""Seconds between a task's failure and its next run."""
MAX_THREADS = 64


class Border:
    """Keeps tasks and callbacks running. `failures` counts by name (`llama_exporter_task_failures_total`).

    A failure is logged when its text differs from the last one of the same name, so that a loop of errors fills no log.
    """

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def failed(self, name: str, error: Exception) -> None:
        """Count a failure of `name`, and log it unless it is the same as the last one."""
        self.failures[name] += 1
        text = f"{type(error).__name__}: {error}"
        if self._last.get(name) != text:
            self._last[name] = text
            logger.opt(exception=error).error("{} failed and goes on (a bug of the exporter)", name)

    async def once(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` to its end or its failure."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 -- the border of a task
            self.failed(name, error)

    async def keep_running(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until it returns or is cancelled; run it again after it raised."""
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001 -- the border of a task
                self.failed(name, error)
            await asyncio.sleep(RETRY_AFTER)

    def callback(self, name: str, call: Callable[P, object]) -> Callable[P, None]:
        """Return `call` with a border: what it raises is counted and logged, and the caller goes on."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                call(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 -- the border of a callback
                self.failed(name, error)

        return guarded


class DaemonThreads(ThreadPoolExecutor):
    """An executor whose threads never keep the process alive; a loop's default, so it serves `asyncio.to_thread`.

    Python's own waits at exit for every running call. Idle threads are reused; at most `MAX_THREADS` exist, and calls
    beyond that wait for one of them.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # starts no thread: everything that would is replaced below
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._counting = threading.Lock()
        self._count = 0
        self._free = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` in a thread."""
        future: Future[T] = Future()
        self._calls.put((future, lambda: fn(*args, **kwargs)))
        with self._counting:
            self._free -= 1
            if self._free < 0 and self._count < MAX_THREADS:
                self._count += 1
                self._free += 1
                threading.Thread(target=self._work, name=f"daemon-{self._count}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 -- inherited
        """Wait for nothing: daemon threads end with the process."""

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001 -- the caller's to handle, wherever it awaits
                    future.set_exception(error)
            del future, call
            with self._counting:
                self._free += 1
