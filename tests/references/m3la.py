"""M3LA in loops over rows, steps, modalities and labels.

Shapes: x N × d, its columns the modalities in the data set's order (`widths`); y N × q in {0, 1}.

Parameters, hidden width h, weights out × in, in the order of the worked values:
    forward.input_weight (3h × d), .hidden_weight (3h × h), .input_bias, .hidden_bias (3h): the encoder,
    gates in the order reset, update, new; backward.…, the same four;
    W_init (h × 2h), b_init (h); W (h × h), U (h × 2h), v (h): the attention;
    decoder.input_weight (3h × (d + 2h), on [x̃, a]), decoder.hidden_weight, .input_bias, .hidden_bias;
    W_modal (m × h), b_modal (m); W_label (q × h), b_label (q);
    W_co (q × q): entry (i, j) is the effect of label i on label j.

An instance that lacks modalities goes through the model of the others alone, whose parameters are the blocks
of these: it takes as many steps as it has modalities, and its last one predicts.

The gradient is that of a function by central differences: what the page holds constant (the hard choices, the
p of stop(p), the label weights) is computed once and kept while parameters move.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from references.arithmetic import (
    Matrix,
    Parameters,
    Vector,
    affine,
    block_scaled,
    cross_entropy,
    dot,
    gru,
    mean,
    one_hot,
    plus,
    product,
    sigmoid,
    slopes_of_all,
    softmax,
)


@dataclass(frozen=True)
class Options:
    widths: Sequence[int]
    order: str = "straight_through"  # or "hard", "fixed"
    first: str = "s0"  # or "index0"
    label_activation: str = "sigmoid"  # or "softmax"
    wco: bool = True
    weights: str = "f1"  # or "none", "hamming"
    rescale: bool = True


@dataclass
class Trace:
    """What one row goes through; lists have an entry a step."""

    encoded: Matrix = field(default_factory=list)
    states: list[list[float]] = field(default_factory=list)  # s_0 and on
    attention: list[list[float]] = field(default_factory=list)
    modality_logits: list[list[float]] = field(default_factory=list)  # g_t
    shares: list[list[float]] = field(default_factory=list)  # p of the masked softmax, 0 where used
    order: list[int] = field(default_factory=list)
    label_logits: list[list[float]] = field(default_factory=list)
    predictions: list[list[float]] = field(default_factory=list)  # ŷ_t


def shapes(widths: Sequence[int], hidden: int, labels: int) -> dict[str, tuple[int, ...]]:
    """The parameters, named in the order of the worked values."""
    d, h, found = sum(widths), hidden, {}

    def unit(name: str, inputs: int) -> dict[str, tuple[int, ...]]:
        weights = {f"{name}.input_weight": (3 * h, inputs), f"{name}.hidden_weight": (3 * h, h)}
        return weights | {f"{name}.input_bias": (3 * h,), f"{name}.hidden_bias": (3 * h,)}

    found |= unit("forward", d) | unit("backward", d)
    found |= {"W_init": (h, 2 * h), "b_init": (h,), "W": (h, h), "U": (h, 2 * h), "v": (h,)}
    found |= unit("decoder", d + 2 * h)
    found |= {"W_modal": (len(widths), h), "b_modal": (len(widths),)}
    return found | {"W_label": (labels, h), "b_label": (labels,), "W_co": (labels, labels)}


def encoded(parameters: Parameters, x: Vector, widths: Sequence[int]) -> list[list[float]]:
    """h_1 … h_m (Eq. 1–3), each [forward ; backward] at its own position."""
    m, hidden = len(widths), len(parameters["b_init"])
    state, forward = [0.0] * hidden, []
    for k in range(m):
        state = gru(parameters, "forward", state, block_scaled(x, widths, one_hot(k, m)))
        forward.append(state)
    state, backward = [0.0] * hidden, []
    for k in reversed(range(m)):
        state = gru(parameters, "backward", state, block_scaled(x, widths, one_hot(k, m)))
        backward.insert(0, state)
    return [[*a, *b] for a, b in zip(forward, backward)]


def attention(parameters: Parameters, state: Vector, encoder: Matrix) -> list[float]:
    """α_t (Eq. 5–6)."""
    of_state = product(parameters["W"], state)
    scores = []
    for h in encoder:
        inner = plus(of_state, product(parameters["U"], h))
        scores.append(dot(parameters["v"], [math.tanh(value) for value in inner]))
    return softmax(scores)


def masked_softmax(logits: Vector, used: Sequence[int]) -> list[float]:
    left = [k for k in range(len(logits)) if k not in used]
    found = [0.0] * len(logits)
    for k, share in zip(left, softmax([logits[k] for k in left])):
        found[k] = share
    return found


def chosen(logits: Vector, used: Sequence[int]) -> int:
    """The highest of those not used (Eq. 9–10), the lowest index among equals."""
    left = [k for k in range(len(logits)) if k not in used]
    return max(left, key=lambda k: (logits[k], -k))


def traced(parameters: Parameters, x: Vector, options: Options, held: Trace | None = None) -> Trace:
    """A row through the model. With `held` its choices are made, and p there is what stop(p) holds."""
    m, trace = len(options.widths), Trace()
    trace.encoded = encoded(parameters, x, options.widths)
    state = affine(parameters["W_init"], parameters["b_init"], trace.encoded[-1])  # Eq. 4
    trace.states.append(state)
    for t in range(m):
        free = options.order != "fixed" and not (t == 0 and options.first == "index0")
        logits = affine(parameters["W_modal"], parameters["b_modal"], state)
        shares = masked_softmax(logits, trace.order)
        choice = chosen(logits, trace.order) if free else t
        if held:
            choice = held.order[t]
        gate = one_hot(choice, m)
        if held and free and options.order == "straight_through":
            gate = [e + p - stopped for e, p, stopped in zip(gate, shares, held.shares[t])]
        alpha = attention(parameters, state, trace.encoded)
        context = [
            sum(a * h[i] for a, h in zip(alpha, trace.encoded)) for i in range(2 * len(state))
        ]  # Eq. 7
        state = gru(parameters, "decoder", state, [*block_scaled(x, options.widths, gate), *context])  # Eq. 8
        label_logits = affine(parameters["W_label"], parameters["b_label"], state)  # Eq. 11
        if t > 0 and options.wco:  # Eq. 12
            before, weight = trace.predictions[-1], parameters["W_co"]
            for j in range(len(before)):
                label_logits[j] += sum(before[i] * weight[i][j] for i in range(len(before)))
        if options.label_activation == "softmax":
            prediction = softmax(label_logits)
        else:
            prediction = [sigmoid(value) for value in label_logits]
        trace.states.append(state)
        trace.attention.append(alpha)
        trace.modality_logits.append(logits)
        trace.shares.append(shares)
        trace.order.append(choice)
        trace.label_logits.append(label_logits)
        trace.predictions.append(prediction)
    return trace


def agreement(y: Vector, predicted: Vector, kind: str) -> float:
    """K of two label sets; example F1 of two empty sets is 1."""
    if kind == "hamming":
        return mean([float(a != b) for a, b in zip(y, predicted)])
    size = sum(y) + sum(predicted)
    return 2 * dot(y, predicted) / size if size else 1.0


def raw_weights(y: Vector, before: Vector, kind: str = "f1") -> list[float]:
    """w_t of one row from ŷ_{t−1} (Eq. 18)."""
    found = []
    for k in range(len(y)):
        sets = [float(value > 0.5) for value in before]
        off, on = [*sets], [*sets]
        off[k], on[k] = 0.0, 1.0
        found.append(abs(agreement(y, off, kind) - agreement(y, on, kind)))
    return found


def label_weights(predictions: Sequence[Matrix], y: Matrix, options: Options) -> list[list[list[float]]]:
    """w, steps × N × q; `predictions` N × steps × q, of which a row has as many as it takes, and weighs 0
    afterwards. A rescaled step has mean 1 over the rows that take it, or is 0 throughout.
    """
    steps, q = max(map(len, predictions)), len(y[0])
    found = [[[1.0] * q for _ in y]]
    for t in range(1, steps):
        if options.weights == "none":
            found.append([[1.0] * q for _ in y])
            continue
        of_step = [
            raw_weights(row, of_row[t - 1], options.weights) if t < len(of_row) else [0.0] * q
            for row, of_row in zip(y, predictions)
        ]
        middle = mean([w for row, of_row in zip(of_step, predictions) if t < len(of_row) for w in row])
        if options.rescale and middle > 0:
            of_step = [[w / middle for w in row] for row in of_step]
        found.append(of_step)
    return found


def loss_of(traces: Sequence[Trace], y: Matrix, weights: Sequence[Matrix], options: Options) -> float:
    """Eq. 19 without λ3: summed over steps and labels, mean over the batch."""
    total = 0.0
    for n, trace in enumerate(traces):
        for t in range(len(trace.predictions)):
            for j, target in enumerate(y[n]):
                if options.label_activation == "sigmoid":
                    entropy = cross_entropy(trace.label_logits[t][j], target)
                else:
                    p = trace.predictions[t][j]
                    entropy = -target * math.log(p) - (1 - target) * math.log(1 - p)
                total += weights[t][n][j] * entropy
    return total / len(traces)


def loss(parameters: Parameters, x: Matrix, y: Matrix, options: Options) -> float:
    """Without λ3."""
    traces = [traced(parameters, row, options) for row in x]
    return loss_of(traces, y, label_weights([trace.predictions for trace in traces], y, options), options)


def lessened(parameters: Parameters, widths: Sequence[int], has: Sequence[int]) -> Parameters:
    """The parameters of a model of those modalities alone that an instance has."""
    there, d = [k for k in range(len(widths)) if has[k]], sum(widths)
    columns = [column for k in there for column in range(sum(widths[:k]), sum(widths[: k + 1]))]
    context = [*range(d, parameters["decoder.input_weight"].shape[1])]
    found = {**parameters, "W_modal": parameters["W_modal"][there], "b_modal": parameters["b_modal"][there]}
    for name in ("forward", "backward"):
        found[f"{name}.input_weight"] = parameters[f"{name}.input_weight"][:, columns]
    found["decoder.input_weight"] = parameters["decoder.input_weight"][:, [*columns, *context]]
    return found


def traced_without(
    parameters: Parameters, x: Vector, has: Sequence[int], options: Options, held: Trace | None = None
) -> Trace:
    """A row that has some modalities; `order` counts them as in its own model."""
    widths, columns, start = [], [], 0
    for k, width in enumerate(options.widths):
        if has[k]:
            widths.append(width)
            columns.extend(x[start : start + width])
        start += width
    own = lessened(parameters, options.widths, has)
    return traced(own, columns, replace(options, widths=widths), held)


def loss_without(parameters: Parameters, x: Matrix, y: Matrix, has: Matrix, options: Options) -> float:
    """Without λ3, of rows of which each has some modalities."""
    traces = [traced_without(parameters, row, own, options) for row, own in zip(x, has)]
    return loss_of(traces, y, label_weights([trace.predictions for trace in traces], y, options), options)


def gradient_without(
    parameters: Parameters, x: Matrix, y: Matrix, has: Matrix, options: Options, names: Sequence[str]
) -> Parameters:
    held = [traced_without(parameters, row, own, options) for row, own in zip(x, has)]
    weights = label_weights([trace.predictions for trace in held], y, options)

    def function(moved: Parameters) -> float:
        now = {**parameters, **moved}
        traces = [traced_without(now, row, own, options, kept) for row, own, kept in zip(x, has, held)]
        return loss_of(traces, y, weights, options)

    return slopes_of_all(function, {name: parameters[name] for name in names})


def penalty(parameters: Parameters, weight: float = 1e-4) -> float:
    """λ3 ‖Φ‖² (Eq. 20)."""
    return weight * sum(float(value) ** 2 for array in parameters.values() for value in array.flat)


def gradient(
    parameters: Parameters, x: Matrix, y: Matrix, options: Options, names: Sequence[str] = ()
) -> Parameters:
    """Of the loss without λ3, with respect to the arrays named, or to all."""
    held = [traced(parameters, row, options) for row in x]
    weights = label_weights([trace.predictions for trace in held], y, options)

    def function(moved: Parameters) -> float:
        traces = [traced({**parameters, **moved}, row, options, kept) for row, kept in zip(x, held)]
        return loss_of(traces, y, weights, options)

    return slopes_of_all(function, {name: parameters[name] for name in names or parameters})
