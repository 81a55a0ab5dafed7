"""Which GPU and how many threads each of several workers of a machine takes."""

from collections.abc import Mapping, Sequence

from mlbench.errors import UserError

# Threads of PyTorch and MKL, of NumPy's and SciPy's products.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
VISIBLE = "CUDA_VISIBLE_DEVICES"


def placed(
    workers: int, cores: int, gpus: Sequence[str] | None = None, per_gpu: int = 1, each: int = 1
) -> list[dict[str, str]]:
    """The variables of each worker's environment: its share of the cores, and `each` GPUs of its own.

    `gpus` are the names of those that this process sees, None where nobody asked for one. Up to `per_gpu`
    workers share a GPU; no GPU is shared before all are taken.
    """
    threads: dict[str, str] = dict.fromkeys(THREADS, str(max(1, cores // workers)))
    if gpus is None:
        return [dict(threads) for _ in range(workers)]
    if len(gpus) // each * per_gpu < workers:
        needed = -(-workers // max(1, len(gpus) // each))
        remedy = f"launch.per_gpu={needed} lets them share" if len(gpus) >= each else "ask for fewer"
        of = f" of {each} GPUs each" if each > 1 else ""
        seen = "1 GPU is" if len(gpus) == 1 else f"{len(gpus)} GPUs are"
        raise UserError(f"processes={workers}{of}: {seen} visible, with launch.per_gpu={per_gpu}; {remedy}")
    sets = [gpus[start : start + each] for start in range(0, len(gpus) - each + 1, each)]
    return [threads | {VISIBLE: ",".join(sets[worker % len(sets)])} for worker in range(workers)]


def visible_gpus(around: Mapping[str, str], count: int) -> list[str]:
    """The names of the GPUs that this process sees, `count` of them: CUDA_VISIBLE_DEVICES names some."""
    named = around.get(VISIBLE)
    if named is None:
        return [str(number) for number in range(count)]
    return [name.strip() for name in named.split(",") if name.strip()][:count]
