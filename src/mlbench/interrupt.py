"""SIGTERM, from a command's first moment: it imports next to nothing, and so is there before the rest."""

import _thread
import signal
import sys
import time

TYPE_CHECKING = False  # typing would be the longest of all imports here
if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = "mlbench: interrupted; the same command goes on from the last checkpoint"

shown = sys.unraisablehook


def hear_sigterm() -> None:
    """Makes SIGTERM raise KeyboardInterrupt, as Ctrl-C does, unless another handler is set already."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # not the main thread, the only one that hears signals
        return
    sys.unraisablehook = raise_again


def raise_again(lost: "UnraisableHookArgs") -> None:
    """Python drops what a callback of a garbage collection or of an import raises: a KeyboardInterrupt that
    was raised there is raised once more a moment later, wherever the main thread is by then.
    """
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        return shown(lost)
    try:
        _thread.start_new_thread(interrupt_soon, ())
    except RuntimeError:  # the interpreter is about to end
        return


def interrupt_soon() -> None:
    time.sleep(0.01)
    _thread.interrupt_main(signal.SIGTERM)
