"""What tests of several parts of the package share."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

# calls after and before which a process may die while it writes
_MOMENTS = ("replace", "rename", "unlink", "rmdir", "mkdir", "fsync")
_LONGEST = 120.0


def _in_child(
    function: Callable[[], object],
    *,
    moment: int | None = None,
    after: float | None = None,
    number: int = signal.SIGKILL,
) -> bool:
    """Run a function in a child process, and say whether it was killed.

    Parameters
    ----------
    function : callable
    moment : int, optional
        The process kills itself at this call that touches a file, counted from 1.
    after : float, optional
        Seconds until it is sent the signal.
    number : int
        The signal.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.dup2(nowhere, sys.stderr.fileno())
            signal.signal(signal.SIGINT, signal.default_int_handler)
            warnings.simplefilter("ignore")
            if moment is not None:
                _die_at(moment, number)
            function()
            status = 0
        finally:
            os._exit(status)
    if after is not None:
        time.sleep(after)
        os.kill(pid, number)
    begun = time.monotonic()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.WIFSIGNALED(status)
        if time.monotonic() - begun > _LONGEST:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError("The child process did not end.")
        time.sleep(0.005)


def _die_at(moment: int, number: int) -> None:
    from fastexplain.training import _run_folder

    left = [moment]

    def tick() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), number)

    def ticking(real: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            tick()
            found = real(*given, **named)
            tick()
            return found

        return call

    for name in _MOMENTS:
        setattr(os, name, ticking(getattr(os, name)))
    digested: Any = _run_folder._Digested
    whole, half, writes = digested.write, ticking(digested.write), [0]

    def some(*given: Any) -> Any:
        # a file is written in a hundred pieces
        writes[0] += 1
        return (half if writes[0] % 40 == 7 else whole)(*given)

    digested.write = some


@pytest.fixture(scope="session")
def in_child() -> Callable[..., bool]:
    """Runs a function in a child process that is killed at some moment."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    return _in_child


@pytest.fixture(scope="session", autouse=True)
def _interrupts_arrive() -> None:
    """Hear Ctrl-C: a shell starts what it runs in the background deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
