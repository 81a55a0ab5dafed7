"""What tests of stacks share: how two outcomes are compared, and numbers in which replicas differ."""

RATES = [{"lr": 0.01}, {"lr": 0.003, "weight_decay": 0.1}, {"lr": 0.01}, {"lr": 0.03}]
COSINE = ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 1, "eta_min": 0.0})


def bits(state):
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


def equal(ours, theirs):
    """To the last bit."""
    assert (bits(ours.last), ours.history) == (bits(theirs.last), theirs.history)
    assert ours.kept.keys() == theirs.kept.keys()
    for rule, kept in ours.kept.items():
        other = theirs.kept[rule]
        assert (kept["epoch"], kept["value"]) == (other["epoch"], other["value"])
        assert bits(kept["state"]) == bits(other["state"])
