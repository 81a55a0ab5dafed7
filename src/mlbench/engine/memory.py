"""What becomes of memory that training gives back."""

import ctypes

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = -1


def keep_freed() -> None:
    """Memory once used stays with this process, as far as its C library is glibc; elsewhere nothing changes.

    By itself glibc gives every large block back when it is freed. A step frees its gradients and the next one
    asks for them anew: the kernel then clears them page by page, which for 200 MB takes longer than the step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, NEVER)
