"""What a person adds from a module of their own: it works, or one sentence says what it lacks."""

import json

import pytest

from commands import records

CIRCLES = "_target_: own_pieces.Circles\nname: circles\nrows: 300\nscaling: own_pieces.ByMedian\n"


@pytest.fixture
def mine(at_once, folder):
    """mine(words) runs with choices of one's own; mine(words, dataset="Nowhere") with another data set."""
    given = {
        "dataset/circles": CIRCLES,
        "split/thirds": "_target_: own_pieces.Thirds\nwrong: null\n",
        "backbone/squares": "_target_: own_pieces.Squares\n",
        "loss/cross_entropy": "_target_: own_pieces.cross_entropy\n",
        "method/by_modality": "_target_: own_pieces.ByModality\n",
    }

    def run(*words, **targets):
        for path, text in given.items():
            group, _ = path.split("/")
            (folder / "mine" / group).mkdir(parents=True, exist_ok=True)
            if group in targets:
                text = f"_target_: own_pieces.{targets[group]}\n" + text.partition("\n")[2]
            (folder / "mine" / f"{path}.yaml").write_text(text)
        chosen = [path.replace("/", "=") for path in given]
        return at_once("--config-dir=mine", *chosen, "train.progress=false", *words)

    return run


def test_a_data_set_a_split_a_scaler_a_backbone_a_loss_and_a_method_of_ones_own(mine, folder):
    done = mine("train.epochs=30", "train.optimizer.lr=0.05")
    assert done.status == 0, done.err
    (path,) = records(folder / "outputs")
    record = json.loads(path.read_text())
    assert path.parents[2].name == "circles" and record["parts"] == {"train": 200, "test": 100}
    assert record["per_label"]["label"] == ["far left", "far right"]
    assert (
        record["metrics"]["last"]["f1_macro"] > 0.9
    )  # squares tell a circle, of whose centre the rest is no help


def test_seeds_of_it_are_trained_as_one_to_the_same_end(mine, folder):
    words = ("train.epochs=5", "train.optimizer.lr=0.05")
    assert mine("-m", "seed=0,1,2", *words).status == 0
    together = [json.loads(path.read_text())["metrics"]["last"] for path in records(folder / "outputs")]
    assert mine("-m", "seed=0,1,2", "engine=single", "force=true", *words).status == 0
    alone = [json.loads(path.read_text())["metrics"]["last"] for path in records(folder / "outputs")]
    assert len(alone) == 3
    for one, other in zip(together, alone):
        assert one == pytest.approx(other, abs=0.02, nan_ok=True)


@pytest.mark.parametrize(
    ("targets", "words", "said"),
    [
        (
            {"dataset": "Nowhere"},
            [],
            "dataset._target_=own_pieces.Nowhere: it has no identity and no kind; "
            "mlbench.data.contracts.Dataset says what it needs",
        ),
        (
            {"split": "Unlabelled"},
            [],
            "split._target_=own_pieces.Unlabelled: it has no labelled; mlbench.data.contracts.Split",
        ),
        (
            {},
            ["dataset.scaling=own_pieces.Unapplied"],
            "dataset.scaling=own_pieces.Unapplied: it has no apply; mlbench.data.contracts.Scaler",
        ),
        (
            {},
            ["dataset.scaling=own_pieces.Precise"],
            "dataset.scaling=own_pieces.Precise: of float32 (300, 5) it made float64 (300, 5)",
        ),
        (
            {"dataset": "Unknown"},
            [],
            "dataset=circles: its identity gave a NoneType, and is to give a dict",
        ),
        (
            {"dataset": "Bare"},
            [],
            "dataset=circles: its load gave a tuple, and is to give a mlbench.data.instances.Loaded",
        ),
        ({}, ["dataset.scaling=own_pieces.Nothing"], "dataset.scaling=own_pieces.Nothing: "),
        ({"backbone": "Endless"}, [], "backbone._target_=own_pieces.Endless: it has no width"),
        ({"backbone": "squared"}, [], "backbone._target_=own_pieces.squared: it is no torch module"),
        (
            {"backbone": "Broad"},
            [],
            "backbone._target_=own_pieces.Broad: of 2 rows it gives a tensor of shape (2, 10), and its width "
            "is 11",
        ),
        (
            {"backbone": "Taskless"},
            [],
            "backbone._target_=own_pieces.Taskless: it cannot be called with the task and its options",
        ),
        (
            {"loss": "errors"},
            [],
            "loss=cross_entropy: of 2 rows it gave a tensor of shape (2, 2), and a loss is one number",
        ),
        (
            {"loss": "counted"},
            [],
            "loss=cross_entropy: of 2 rows it gave a float, and a loss is one number",
        ),
        (
            {"loss": "of_logits"},
            [],
            "loss._target_=own_pieces.of_logits: it cannot be called with logits and targets",
        ),
        ({"method": "Squares"}, [], "method._target_=own_pieces.Squares: no mlbench.methods.base.Method"),
        ({"method": "Mute"}, [], "method._target_=own_pieces.Mute: it has no scores(batch)"),
        ({"method": "Idle"}, [], "method._target_=own_pieces.Idle: it has no loss(batch)"),
        (
            {"method": "ByRow"},
            [],
            "ByRow.loss gave a tensor of shape (64,), and is to give one number, a tensor of shape ()",
        ),
        ({"method": "Stageless"}, [], "Stageless.stages gave a NoneType, and is to yield stages"),
        ({"method": "Staged"}, [], "Staged.stages gave a Rows, and is to yield stages"),
        ({}, ["split.wrong=leaks"], "split: 100 test rows, such as 0, are among those it trains on"),
        (
            {},
            ["split.wrong=outside"],
            "split: its part `test` is to hold rows of 0 to 299, each at most once",
        ),
        (
            {"split": "Listed"},
            [],
            "split: it gave a list, and is to give row numbers by part: {train: [0, 2], test: [1]}",
        ),
        ({"split": "Masked"}, [], "split: its part `train` is an array of bool, and is to hold row numbers"),
        (
            {"split": "Seedless"},
            [],
            "split._target_=own_pieces.Seedless: it cannot be called with targets, official and seed",
        ),
        ({}, ["split.wrong=lacks"], "split: it made no part `test`, of train"),
    ],
    ids=str,
)
def test_what_it_lacks_is_said_in_one_sentence(targets, words, said, mine, folder):
    done = mine(*words, **targets)
    assert (done.status, done.out) == (2, "") and len(done.err.splitlines()) == 1
    assert said in done.err and not records(folder / "outputs")
