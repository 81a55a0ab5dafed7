"""Ctrl-C and SIGTERM during a training: it saves, then stops; asked twice, it stops at once."""

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from ctypes import c_byte
from typing import Any


class Stop:
    """Whether anybody asked to stop: this process or, if `shared`, a process that it starts."""

    def __init__(self, shared: bool = False):
        self.flag = multiprocessing.get_context("spawn").RawValue("b") if shared else c_byte()
        self.heard = False  # in this process

    @property
    def asked(self) -> bool:
        return bool(self.flag.value)

    def ask(self, *_: Any) -> None:
        self.flag.value = True

    def hear(self, *_: Any) -> None:
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
        self.ask()


@contextlib.contextmanager
def caught(handler: Callable) -> Iterator[None]:
    """Hands both signals to `handler`, where signals can be caught: in the main thread."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            with contextlib.suppress(TypeError, ValueError):  # a handler that was not set from Python
                signal.signal(number, former)
