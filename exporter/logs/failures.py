"""Say a failure when it begins and when it ends, and not once a second in between."""

from collections.abc import Callable

from loguru import logger


class FailureLog:
    """Remembers what fails, by name. While `expected` says so, failures are no news."""

    def __init__(self, expected: Callable[[], bool] = lambda: False) -> None:
        self._failing: set[str] = set()
        self._expected = expected

    def report(self, name: str, error: str | None) -> None:
        """Tell how `name` fares now: None is well."""
        if error is None:
            if name in self._failing:
                self._failing.remove(name)
                logger.info("{} works again", name)
        elif name not in self._failing and not self._expected():
            self._failing.add(name)
            logger.warning("{} fails: {}", name, error)
