"""Every loss trains a model in a whole experiment, in single and in half precision."""

import json
from functools import cache

import pytest

from mlbench.compose import choices, configure
from mlbench.data import multidigits
from mlbench.experiment import run


@pytest.fixture(scope="module")
def digits():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multidigits, "make", cache(multidigits.make))
        yield


@pytest.mark.parametrize("name", choices("loss"))
def test_every_loss_trains_a_model(name, digits, tmp_path, cache):
    config = configure(
        [
            f"loss={name}",
            "backbone=linear",
            "train.epochs=1",
            "train.batch_size=256",
            "train.progress=false",
            f"paths.outputs={tmp_path}",
            f"paths.cache={cache}",
        ]
    )
    for precision in ("32-true", "bf16-mixed"):
        train = config.train.model_copy(update={"precision": precision})
        record, path = run(config.model_copy(update={"train": train}))
        (epoch,) = [json.loads(line) for line in (path.parent / "history.jsonl").read_text().splitlines()]
        assert abs(epoch["loss"]) < 1e3 and record.choices["loss"] == name
        assert 0 <= record.metrics["last"]["ap_macro"] <= 1
