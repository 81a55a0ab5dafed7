"""LaMP's vector form in loops over rows, labels and heads, dropout off.

Shapes, B rows, d features, c labels, D wide nodes, heads of m:
    x B × d; y B × c in {0, 1}; mask c × c, true where label j (row) may look at label k (column).

Parameters, weights out × in, in the order of the worked values; l is the layer's number, from 0:
    input.weight (D × d), input.bias (D); embedding (c × D);
    l.nodes.query, l.nodes.key, l.nodes.value (heads·m × D; head n has rows n·m to (n + 1)·m),
    l.nodes.output (D × heads·m): attention of labels on the input node;
    l.nodes.forward.inner.weight (F × D), .inner.bias (F), .outer.weight (D × F), .outer.bias (D);
    l.labels.…, the same eight: attention of labels on labels, and its feed-forward part;
    output (c × D), w; where it is missing, w is tied to the embedding.
The LayerNorm after each of these four has weight 1 and bias 0, unless the parameters name others:
    l.nodes.norm.weight, l.nodes.norm.bias, l.nodes.forward.norm.weight, …, l.labels.… (D each).
"""

import math

from references.arithmetic import (
    Matrix,
    Parameters,
    Vector,
    affine,
    cross_entropy,
    dot,
    mean,
    plus,
    product,
    softmax,
)

EPS = 1e-5

Mask = list[list[bool]]


def shapes(
    d: int, width: int, inner: int, heads_width: int, labels: int, layers: int = 1
) -> dict[str, tuple[int, ...]]:
    """The parameters, named in the order of the worked values; heads_width is heads·m."""
    found: dict[str, tuple[int, ...]] = {"input.weight": (width, d), "input.bias": (width,)}
    found["embedding"] = labels, width
    for part in [f"{k}.{kind}" for k in range(layers) for kind in ("nodes", "labels")]:
        found |= {f"{part}.{name}": (heads_width, width) for name in ("query", "key", "value")}
        found[f"{part}.output"] = width, heads_width
        found |= {f"{part}.forward.inner.weight": (inner, width), f"{part}.forward.inner.bias": (inner,)}
        found |= {f"{part}.forward.outer.weight": (width, inner), f"{part}.forward.outer.bias": (width,)}
    return found | {"output": (labels, width)}


def mask(y: Matrix, kind: str = "prior") -> Mask:
    """From the rows of training: pairs that occur together and the diagonal; "none" hides no pair."""
    count = len(y[0])
    found = [[j == k or kind == "none" for k in range(count)] for j in range(count)]
    if kind == "prior":
        for row in y:
            for j in range(count):
                for k in range(count):
                    found[j][k] = found[j][k] or bool(row[j] and row[k])
    return found


def layer_norm(parameters: Parameters, name: str, row: Vector) -> list[float]:
    middle = mean(row)
    spread = math.sqrt(mean([(value - middle) ** 2 for value in row]) + EPS)
    weight = parameters.get(f"{name}.norm.weight", [1.0] * len(row))
    bias = parameters.get(f"{name}.norm.bias", [0.0] * len(row))
    return [w * (value - middle) / spread + b for value, w, b in zip(row, weight, bias)]


def attentions(
    parameters: Parameters, name: str, queries: Matrix, keys: Matrix, heads: int, seen: Mask
) -> list[list[list[float]]]:
    """Weights, heads × queries × keys: softmax of scores/√m over the keys that are seen, 0 elsewhere."""
    asked = [product(parameters[f"{name}.query"], row) for row in queries]
    offered = [product(parameters[f"{name}.key"], row) for row in keys]
    m = len(asked[0]) // heads
    found = []
    for head in range(heads):
        part = slice(head * m, (head + 1) * m)
        of_head = []
        for query, open_to in zip(asked, seen):
            places = [k for k in range(len(keys)) if open_to[k]]
            shares = softmax([dot(query[part], offered[k][part]) / math.sqrt(m) for k in places])
            row = [0.0] * len(keys)
            for k, share in zip(places, shares):
                row[k] = share
            of_head.append(row)
        found.append(of_head)
    return found


def attended(
    parameters: Parameters, name: str, queries: Matrix, keys: Matrix, heads: int, seen: Mask
) -> list[list[float]]:
    """Attention, output projection, residual, LayerNorm."""
    values = [product(parameters[f"{name}.value"], row) for row in keys]
    m = len(values[0]) // heads
    shares = attentions(parameters, name, queries, keys, heads, seen)
    found = []
    for i, query in enumerate(queries):
        joined = []
        for head in range(heads):
            for entry in range(head * m, (head + 1) * m):
                joined.append(sum(share * value[entry] for share, value in zip(shares[head][i], values)))
        moved = plus(query, product(parameters[f"{name}.output"], joined))
        found.append(layer_norm(parameters, name, moved))
    return found


def fed_forward(parameters: Parameters, name: str, rows: Matrix) -> list[list[float]]:
    """Feed-forward, residual, LayerNorm."""
    inner = parameters[f"{name}.forward.inner.weight"], parameters[f"{name}.forward.inner.bias"]
    outer = parameters[f"{name}.forward.outer.weight"], parameters[f"{name}.forward.outer.bias"]
    found = []
    for row in rows:
        hidden = [max(value, 0.0) for value in affine(*inner, row)]
        found.append(layer_norm(parameters, f"{name}.forward", plus(row, affine(*outer, hidden))))
    return found


def nodes(parameters: Parameters, row: Vector, seen: Mask, heads: int = 4) -> list[list[float]]:
    """The label nodes of one row after all layers, c × D."""
    e = affine(parameters["input.weight"], parameters["input.bias"], row)
    labels = [[*embedded] for embedded in parameters["embedding"]]
    k = 0
    while f"{k}.nodes.query" in parameters:
        labels = attended(parameters, f"{k}.nodes", labels, [e], heads, [[True]] * len(labels))
        labels = fed_forward(parameters, f"{k}.nodes", labels)
        labels = attended(parameters, f"{k}.labels", labels, labels, heads, seen)
        labels = fed_forward(parameters, f"{k}.labels", labels)
        k += 1
    return labels


def logits(parameters: Parameters, x: Matrix, seen: Mask, heads: int = 4) -> list[list[float]]:
    """B × c; `seen` is the mask."""
    weights = parameters.get("output", parameters["embedding"])
    return [[dot(node, w) for node, w in zip(nodes(parameters, row, seen, heads), weights)] for row in x]


def loss(parameters: Parameters, x: Matrix, y: Matrix, seen: Mask, heads: int = 4) -> float:
    """BCE, mean over all entries."""
    found = logits(parameters, x, seen, heads)
    return mean([cross_entropy(a, b) for row, labels in zip(found, y) for a, b in zip(row, labels)])


def cuts() -> list[float]:
    """The 27 that validation chooses among."""
    return [k / 100 for k in range(1, 11)] + [k / 100 for k in range(15, 100, 5)]
