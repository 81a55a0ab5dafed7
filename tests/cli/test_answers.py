"""What a person types who knows another program: one line that says what to write instead, exit status 2."""

import inspect
import re
import subprocess
import sys

import pytest

from commands import records
from mlbench import __version__, signatures
from mlbench.commands.arguments import answered, pairs
from mlbench.compose import GROUPS, config_dir, configure
from mlbench.config import target
from mlbench.errors import UserError
from mlbench.premises import check_premises, metric_names

# What is typed, and what the answer must hold.
ANSWERS = {
    # groups and keys by other names
    "train.optimizer=sgd": "train.optimizer=sgd: write train/optimizer=sgd",
    "train.optimizer=sdg": "train/optimizer=sdg: no such train/optimizer; there are: adam, adamw, sgd; did",
    "train.scheduler=none": "write train/scheduler=none",
    "optimizer=sgd": "did you mean train/optimizer?",
    "optimiser=sgd": "did you mean train/optimizer?",
    "train.lr=0.1": "did you mean train.optimizer.lr?",
    "train.learning_rate=0.1": "did you mean train.optimizer.lr?",
    "learning_rate=0.1": "did you mean train.optimizer.lr?",
    "optimizer.lr=0.1": "did you mean train.optimizer.lr?",
    "device=cuda": "did you mean train.accelerator?",
    "gpus=2": "did you mean train.devices?",
    "model=erm": "did you mean method?",
    "Seed=3": "did you mean seed?",
    "batchsize=3": "did you mean train.batch_size?",
    "split.folds=5": "split=kfold and split=published have it",
    "loss.gamma=3": "loss=cb_focal and loss=cb_ntr and loss=db have it",
    "backbone.hidden=32": "backbone=chain has it",
    "logger.project=mine": "logger=trackio and logger=wandb have it",
    "selection=best": "selection=best: it has keys of its own; write one of selection.rule, selection.metric",
    "dataset._target_=os.system": "dataset._target_=os.system: that is Python's own, and no dataset",
    "split._target_=os.getcwd": "split._target_=os.getcwd: that is Python's own",
    "dataset._target_=print": "dataset._target_=print: cannot be imported: it names no module",
    "loss._target_=os.getcwd": "loss._target_=os.getcwd: that is Python's own",
    "dataset=my.arff": "a file of your own is dataset=mulan dataset.path=my.arff",
    "threshold=0.3": "one cut for all is threshold.value=0.3",
    # options of other programs
    "--seed 3": "--seed: no such option; keys have no dashes: write seed=3",
    "--seed=3": "write seed=3",
    "--epochs=3": "write train.epochs=3",
    "--lr 0.1": "write train.optimizer.lr=0.1",
    "--dataset scene --seed 3": "write dataset=scene",
    "--train.epochs=3": "write train.epochs=3",
    "--output-dir out": "write paths.outputs=out",
    "--method": "write method=...",
    "--help-all": "--help-all: no such option; write --help",
    "--hlep": "did you mean --help?",
    "--config-name mine": "did you mean --config-dir?",
    "--config-dir": "--config-dir: a word is missing after it",
    "-x": "-x: no such option; there are --help, -m",
    "--cfg jobs": "--cfg: a word is missing after it: --cfg job",
    "--multirun=seed=0,1": "write --multirun seed=0,1",
    "help": "help: write --help",
    # words that are none
    "seed": "seed: a value is missing; write seed=...",
    "seed=": "seed=: a value is missing",
    "seed 3": "seed: write seed=3",
    "seed = 3": "no spaces around the sign: write seed=3",
    "seed =3": "no spaces around the sign: write seed=3",
    "seed:3": "write seed=3",
    "seed==3": "one sign is enough: seed=3",
    "=3": "a key is missing",
    "seed=1 seed=2": "seed=1 and seed=2: seed is given twice; leave one out",
    "method=br method=erm": "method is given twice",
    "-m seed=0, method=prior": "leave out the comma at its end: seed=0",
    "method=erm,seed=3": "each word by itself: method=erm seed=3",
    "“seed=3”": "these quotes are letters to a shell",
    "backbone.widths=[128,64": "a bracket is open; a list is written 'backbone.widths=[a,b]'",
    "method='erm": "a quote is open",
    # values
    "train.optimizer.lr=0,001": "a decimal with a point: train.optimizer.lr=0.001",
    "train.optimizer.lr=-1": "train.optimizer.lr=-1: should be greater than or equal to 0",
    "train.optimizer.lr=inf": "train.optimizer.lr=Infinity: should be a finite number",
    "train/optimizer=sgd train.optimizer.momentum=-1": "train.optimizer.momentum=-1",
    "train/scheduler=cosine_restarts train.scheduler.T_0=0": "train.scheduler.T_0=0",
    "train.accelerator=cuda": "should be 'cpu', 'gpu' or 'auto'; write gpu",
    "train.precision=bf16": "write bf16-mixed",
    "train.precision=16": "write 16-mixed",
    "train.epochs=0": "train.epochs=0: should be greater than or equal to 1",
    "train.epochs=1.5": "train.epochs=1.5: should be a valid integer",
    "seed=-1": "seed=-1: should be greater than or equal to 0",
    "seed=[0,1]": "-m seed=0,1 runs each of them",
    "backbone.widths=128": "should be a valid list: 'backbone.widths=[128]'",
    "backbone.dropout=1.5": "backbone.dropout=1.5: should be less than 1",
    "threshold.value=7": "threshold.value=7: should be less than or equal to 1",
    "threshold=top_k threshold.k=0": "threshold.k=0: should be greater than or equal to 1",
    "threshold=top_k threshold.k=11": "threshold.k=11: there are 10 labels; choose as many or fewer",
    "dataset=scene threshold=top_k threshold.k=7": "threshold.k=7: there are 6 labels; choose as many or",
    "loss=focal loss.alpha=2": "loss.alpha=2: should be less than or equal to 1",
    "method=mlknn method.k=0": "method.k=0: should be greater than or equal to 1",
    "method=ant method.overlap=2": "method.overlap=2: should be less than or equal to 1",
    "method=ant method.teachers.count=1": "method.teachers.count=1: should be greater than or equal to 2",
    "method=rakel method.overlapping=false method.subsets=3": "disjoint labelsets are as many as it takes",
    "method=br method.base=logreg": "there are logistic, svm, forest",
    "split=kfold split.fold=10": "split.fold=10: the 10 folds are numbered 0 to 9",
    "split=kfold split.folds=5000": "split.folds=5000: of 2400 rows there are 2400 folds at most",
    "dataset=scene split=kfold split.folds=2408": "split.folds=2408: of 2407 rows there are 2407 folds",
    "method=mlknn method.k=1600": "method.k=1600: each of the 1600 training rows has 1599 others",
    "dataset=scene method=mlknn split.validation=0.5 split.stratified=true method.k=606": "606 training rows",
    "method=mlknn split=kfold split.folds=2 method.k=1200": "each of the 1200 training rows",
    "split=holdout split.test=30": "split.test=30.0: a share of the rows between 0 and 1",
    "train.strategy=fsdp2": "did you mean fsdp?",
    "logger=wandb logger.mode=onlin": "did you mean online?",
    "selection.metric=f1_makro": "selection.metric=f1_makro: no such metric; did you mean f1_macro?",
    "selection.metric=ndcg_at_0": "selection.metric=ndcg_at_0: no such metric; did you mean ndcg_at_",
    # what does not go together
    "selection.rule=best": "add split.validation=0.1",
    "threshold=per_label threshold.fit_on=validation": "add split.validation=0.1",
    "train.batch_size=3 train.devices=2": "choose a multiple",
    "hydra/launcher=joblib": "a launcher is for the runs of a sweep; add -m",
    "-m hydra/launcher=submitit_slurm": "pip install 'multilabel-bench[slurm]'",
}


@pytest.mark.parametrize("words", ANSWERS)
def test_the_answer_says_what_to_write(words, at_once, folder):
    done = at_once(*words.split())
    (line,) = done.err.splitlines()
    assert (done.status, done.out) == (2, "")
    assert line.startswith("mlbench: ") and ANSWERS[words] in line
    assert not list(folder.iterdir())


def test_no_answer_waits_for_torch(folder, environment):
    """A third of them in one process, which in the end has not imported it."""
    some = [words.split() for words in ANSWERS][::3]
    program = (
        "import sys\n"
        "from mlbench.commands import run\n"
        f"for words in {some!r}:\n"
        "    sys.argv[1:] = words\n"
        "    run.errors.clear()\n"
        "    try:\n"
        "        run.main()\n"
        "    except SystemExit as left:\n"
        "        print(left.code, 'torch' in sys.modules, words)\n"
    )
    python = [sys.executable, "-c", program]
    done = subprocess.run(python, cwd=folder, env=environment, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(some)
    assert [line for line in lines if not line.startswith("2 False")] == []


def test_numbers_are_refused_only_from_where_the_data_end(folder):
    """As many as there are, and the labels of a file of one's own, which only the command line counts."""
    for words in (["threshold=top_k", "threshold.k=10"], ["method=mlknn", "method.k=1599"]):
        check_premises(configure(words))
    (folder / "my.csv").write_text("a,b,rain,storm\n" + "1,2,0,1\n" * 9)
    own = ["dataset=csv", f"dataset.path={folder}/my.csv", "dataset.labels=[rain,storm]", "threshold=top_k"]
    check_premises(configure([*own, "threshold.k=2"]))
    with pytest.raises(UserError, match="k=3: there are 2 labels"):
        check_premises(configure([*own, "threshold.k=3"]))


TARGETS = sorted(
    {
        target
        for group in GROUPS
        for path in (config_dir() / group).rglob("*.yaml")
        for target in re.findall(r"^_target_: (mlbench\S+)", path.read_text(), re.MULTILINE)
        if target.startswith(signatures.WITH_TORCH)
    }
)


@pytest.mark.parametrize("path", TARGETS)
def test_a_signature_read_from_the_source_is_that_of_the_import(path, monkeypatch):
    from_source = signatures.parameters(path, located=None)
    monkeypatch.setattr(signatures, "sketched", lambda path: None)
    imported = signatures.parameters(path, lambda path: target({"_target_": path}))
    assert [described(each) for each in from_source] == [described(each) for each in imported]


def described(parameter: inspect.Parameter) -> str:
    """Without the addresses of validators, which are functions twice over."""
    return re.sub(r" at 0x\w+", "", repr(parameter))


def test_metrics_read_from_the_source_are_those_that_are_registered():
    from mlbench.evaluation.suite import ALL

    assert metric_names() == list(ALL)


def test_options_may_stand_anywhere_among_the_words(at_once, folder):
    done = at_once("method=prior", "paths.outputs=mine", "-m", "seed=0,1")
    assert (done.status, done.err) == (0, "")
    assert len(records(folder / "mine")) == 2


@pytest.mark.parametrize(
    "words, said",
    [
        ("method=mlknn method.k=1600", "method.k=1600: each of the 1600 training rows has 1599 others"),
        ("threshold=top_k threshold.k=50", "threshold.k=50: there are 10 labels"),
    ],
)
def test_what_the_data_do_not_offer_is_refused_before_training(words, said, at_once, folder):
    done = at_once(*words.split())
    (line,) = done.err.splitlines()
    assert done.status == 2 and said in line
    assert not records(folder / "outputs") and not list(folder.rglob("history.jsonl"))


def test_options_of_training_that_a_method_does_not_take_are_named(at_once):
    words = ["train.epochs=7", "train/optimizer=sgd", "train.threads=1"]
    done = at_once("method=mlknn", *words)
    told = [f"method=mlknn takes no {word.partition('=')[0]}: {word} changes nothing" for word in words[:2]]
    assert (done.status, done.err.splitlines()) == (0, [f"mlbench: {line}" for line in told])
    assert at_once("method=prior").err == ""


def test_a_name_that_reads_like_an_interpolation_is_answered_with_its_cure(at_once, folder):
    rows = "".join(f"{row},{row % 2}\n" for row in range(20))
    (folder / "${x}.csv").write_text(f"humidity,rain\n{rows}")
    given = ("dataset=csv", "method=prior", "dataset.labels=[rain]")
    refused = at_once(*given, "dataset.path=${x}.csv")
    (line,) = refused.err.splitlines()
    assert refused.status == 2 and line.endswith(r"for ${ itself write '\${'")
    assert at_once(*given, r"dataset.path=\${x}.csv").status == 0


def test_the_version_is_ours(at_once, capfd):
    assert at_once("--version").out == f"mlbench {__version__}\n"
    assert answered(lambda arguments: 1, ["--version"]) == 0
    assert capfd.readouterr().out == f"mlbench {__version__}\n"


@pytest.mark.parametrize(
    "words, said",
    [
        ("ant/2", "ant/2: write table=ant/2"),
        ("table=ant/2 dry_run", "dry_run: a value is missing; write dry_run=..."),
        ("--table ant/2", "--table: no such option; keys have no dashes: write table=ant/2"),
        ("--dry-run table=ant/2", "write dry_run=..."),
        ("table=ant/2 table=ant/3", "table is given twice"),
        ("table=ant/2 -m", "-m: no such option; there are --help, --version"),
    ],
)
def test_other_commands_answer_alike(words, said, capsys):
    def run(arguments):
        pairs(arguments, "table", ("table", "dry_run"))

    assert answered(run, words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
