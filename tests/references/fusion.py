"""Fusion of modalities in loops over rows, modalities, units and labels.

A network of one hidden layer, relu(W x + b), stands for a backbone: `networks` has one for each modality, or,
of an early fusion, one for all columns. `heads` are pairs of weight and bias: one for each modality of a late
fusion, else one. `has` says which modalities a row has. With m modalities, of which a row has n:

early           logits = head(network([x̃¹, …, x̃ᵐ])), x̃ᵏ = (m / n) xᵏ where the row has it, else zeros
intermediate    logits = head([f¹, …, fᵐ]), fᵏ = (m / n) networkᵏ(xᵏ) where the row has it, else zeros
late            logits = the mean of headᵏ(networkᵏ(xᵏ)) over the modalities that the row has
"""

from collections.abc import Sequence

from references.arithmetic import Matrix, Vector, affine

Layer = tuple[Matrix, Vector]  # weight, bias


def features(network: Layer, x: Vector) -> list[float]:
    return [max(value, 0.0) for value in affine(*network, x)]


def blocks(x: Vector, widths: Sequence[int]) -> list[list[float]]:
    found, start = [], 0
    for width in widths:
        found.append([float(value) for value in x[start : start + width]])
        start += width
    return found


def logits(
    fusion: str,
    networks: Sequence[Layer],
    heads: Sequence[Layer],
    x: Vector,
    widths: Sequence[int],
    has: Sequence[int],
) -> list[float]:
    """Of one row."""
    views, scale = blocks(x, widths), len(widths) / sum(has)
    if fusion == "early":
        seen = []
        for view, there in zip(views, has, strict=True):
            seen += [scale * value if there else 0.0 for value in view]
        return affine(*heads[0], features(networks[0], seen))
    if fusion == "intermediate":
        together = []
        for network, view, there in zip(networks, views, has, strict=True):
            together += [scale * value if there else 0.0 for value in features(network, view)]
        return affine(*heads[0], together)
    said = [
        affine(*head, features(network, view))
        for network, head, view, there in zip(networks, heads, views, has, strict=True)
        if there
    ]
    return [sum(values) / len(said) for values in zip(*said, strict=True)]
