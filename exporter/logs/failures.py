"""Say a failure when it begins and when it ends, and not once a second in between."""

from loguru import logger


class FailureLog:
    """Remembers what fails, by name."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def report(self, name: str, error: str | None) -> None:
        """Tell how `name` fares now: None is well."""
        if error is None:
            if name in self._failing:
                self._failing.remove(name)
                logger.info("{} works again", name)
        elif name not in self._failing:
            self._failing.add(name)
            logger.warning("{} fails: {}", name, error)
