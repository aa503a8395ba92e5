"""Ctrl-C, held back where it would leave something half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interrupts"]


class Interrupts:
    """Holds Ctrl-C back over parts of a program that are to be done whole or not at all.

    Within ``with Interrupts() as interrupts:``, a Ctrl-C that comes during ``with
    interrupts.held():`` raises KeyboardInterrupt when that part ends. Of several, each raises at
    the end of a part of its own, the last at the end of the outer block: none is lost.
    Outside of the main thread, which alone is interrupted, and where the program has no handler
    that Python knows, nothing is changed.
    """

    def __init__(self) -> None:
        self._previous: Callable[[int, FrameType | None], object] | None = None
        self._held = False
        self._waiting = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            # neither the system's own handler nor one that is ignored or not Python's
            if callable(previous):
                self._previous = previous
                signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # a handler that was set meanwhile stays
        if self._previous is not None and signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._previous)
        self._raise_one()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold Ctrl-C back until the end of this part."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._raise_one()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._waiting += 1
        elif self._previous is not None:
            self._previous(number, frame)

    def _raise_one(self) -> None:
        if self._waiting and self._previous is not None:
            self._waiting -= 1
            self._previous(signal.SIGINT, None)
