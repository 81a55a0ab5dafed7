"""SIGTERM, from a command's first moment: it imports next to nothing, and so is there before the rest."""

import signal

INTERRUPTED = "mlbench: interrupted; the same command goes on from the last checkpoint"


def hear_sigterm() -> None:
    """Makes SIGTERM raise KeyboardInterrupt, as Ctrl-C does, unless another handler is set already."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # not the main thread, the only one that hears signals
        return
