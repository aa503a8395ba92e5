"""Savers and readers of one folder at a time, in threads and processes, some of them killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import ONE, OTHER, assert_holds, fitted, same, values_of

import fastexplain
import fastexplain.persistence._files as files

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_threads_that_save_and_load(saved: Path) -> None:
    """Savers do not fail, and readers meet one explainer or the other, whole."""
    for name in (ONE, OTHER):
        values_of(fitted(name))
    wrong: list[Any] = []
    over = threading.Event()

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            try:
                work()
            except BaseException as error:
                wrong.append(error)

        return call

    def writer(name: str) -> Callable[[], None]:
        def work() -> None:
            for _ in range(12):
                fitted(name).save(saved)

        return work

    def reader() -> None:
        while not over.is_set():
            loaded = fastexplain.load(saved)
            if not (same(loaded, ONE) or same(loaded, OTHER)):
                wrong.append("neither")

    writers = [threading.Thread(target=guarded(writer(name))) for name in (ONE, OTHER, ONE)]
    readers = [threading.Thread(target=guarded(reader)) for _ in range(3)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert not wrong
    assert len(os.listdir(saved)) == 2
    assert same(fastexplain.load(saved), ONE) or same(fastexplain.load(saved), OTHER)


def test_threads_that_make_the_same_new_folder(tmp_path: Path) -> None:
    wrong: list[Any] = []

    def work() -> None:
        try:
            fitted(ONE).save(tmp_path / "a" / "new")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert_holds(tmp_path / "a" / "new", ONE)


def _save_often(folder: str, count: int) -> None:
    explainer = fastexplain.load(folder)
    for _ in range(count):
        explainer.save(folder)


@needs_fork
def test_processes_that_save_and_are_killed_at_random(saved: Path) -> None:
    """Forty kills: nothing is lost, and nobody waits for the dead."""
    context = multiprocessing.get_context("fork")
    rng = np.random.default_rng(0)
    for _ in range(10):
        workers = [context.Process(target=_save_often, args=(str(saved), 500)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(float(rng.uniform(0.0, 0.05)))
            if worker.is_alive() and worker.pid is not None:
                os.kill(worker.pid, signal.SIGKILL)
            worker.join()
            assert same(fastexplain.load(saved), ONE)
    fitted(OTHER).save(saved)
    assert_holds(saved, OTHER)


@pytest.mark.slow
def test_readers_in_processes_of_their_own(saved: Path) -> None:
    """Three programs load as fast as they can while another saves the same explainer anew."""
    code = (
        "import sys, numpy as np, fastexplain\n"
        "for _ in range(150):\n    fastexplain.load(sys.argv[1])\n"
    )
    readers = [subprocess.Popen([sys.executable, "-c", code, str(saved)]) for _ in range(3)]
    while any(reader.poll() is None for reader in readers):
        fitted(ONE).save(saved)
    assert [reader.returncode for reader in readers] == [0, 0, 0]


def test_locks_of_files_that_are_gone_are_no_locks(tmp_path: Path) -> None:
    """The lock's file is removed while it is held: whoever waits for it takes a new one."""
    inside, most = [], []

    def work() -> None:
        for _ in range(10):
            with files.locked(tmp_path):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(most) == 50
    assert not os.listdir(tmp_path)
