"""Tables from a name in a config to the class or function that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dassl.utils.names import UnknownNameError


class Registry:
    """A table of classes or functions under their ``__name__``.

    ::

        TRAINER_REGISTRY = Registry("TRAINER")

        @TRAINER_REGISTRY.register()
        class CoOp(TrainerX): ...

        TRAINER_REGISTRY.get("CoOp")
    """

    def __init__(self, name: str):
        self._name = name
        self._objects: dict[str, Any] = {}
        self._replaces = False

    def register(self, obj: Any = None, force: bool = False) -> Any:
        """Add ``obj``, or, called without one, return a decorator that does.

        Raises:
            KeyError: the name is taken and ``force`` is false.
        """
        if obj is None:
            return self._decorator(force)
        name = obj.__name__
        if name in self._objects and not (force or self._replaces):
            raise KeyError(
                f"{name!r} is already registered in {self._name} by {self._objects[name].__module__}; "
                f"rename one of the two, or register with force=True"
            )
        self._objects[name] = obj
        return obj

    def _decorator(self, force: bool) -> Callable[[Any], Any]:
        return lambda obj: self.register(obj, force=force)

    @contextmanager
    def whole(self, replace: bool = False) -> Iterator[None]:
        """Undo what was registered in this block if it raises.

        Args:
            replace: what is registered there takes names that are taken.
        """
        before, self._replaces = dict(self._objects), replace
        try:
            yield
        except BaseException:
            self._objects.clear()
            self._objects.update(before)
            raise
        finally:
            self._replaces = False

    def get(self, name: str) -> Any:
        """Return the object registered under ``name``.

        Raises:
            KeyError: nothing is; the message lists what exists, and the nearest name.
        """
        if name not in self._objects:
            raise UnknownNameError(self._name.lower(), name, self._objects)
        return self._objects[name]

    def registered_names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._objects)

    def __contains__(self, name: str) -> bool:
        return name in self._objects
