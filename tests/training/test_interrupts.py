"""Ctrl-C is held back over a part, comes at its end, and none is lost."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from fastexplain.training._interrupts import Interrupts


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_held_interrupt_comes_at_the_end_of_the_part() -> None:
    done = []
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.held():
            _press()
            done.append("all of it")
        done.append("after")
    assert done == ["all of it", "after"]


def test_elsewhere_it_comes_at_once() -> None:
    with Interrupts() as interrupts:
        with interrupts.held():
            pass
        with pytest.raises(KeyboardInterrupt):
            _press()


def test_the_second_of_two_comes_at_the_end_of_the_next_part() -> None:
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.held():
            _press()
            _press()
        saved = False
        with pytest.raises(KeyboardInterrupt), interrupts.held():
            saved = True
        assert saved
        with interrupts.held():
            pass


def test_the_last_one_comes_at_the_end_of_all() -> None:
    with pytest.raises(KeyboardInterrupt):
        with Interrupts() as interrupts:
            try:
                with interrupts.held():
                    _press()
                    _press()
            except KeyboardInterrupt:
                pass


def test_the_handler_of_before_is_put_back_and_asked() -> None:
    asked = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    try:
        mine = signal.getsignal(signal.SIGINT)
        with Interrupts() as interrupts:
            _press()
            with interrupts.held():
                _press()
                assert asked == [1]
        assert asked == [1, 1]
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_was_set_meanwhile_stays() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with Interrupts():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_ignored_interrupts_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts, interrupts.held():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            _press()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_the_handler_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
