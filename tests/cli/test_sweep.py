"""`-m`: every run of a grid, whatever becomes of the others; the same sweep again does only what is left."""

import json
import statistics
import subprocess
import sys

from commands import ROOT, records

GRID = ["-m", "method._target_=mlbench.methods.erm.ERM,outside.Needs", "seed=0,1", "train.epochs=1"]


def failures(outputs):
    return sorted(outputs.glob("*/*/*/failed.json"))


def written(paths):
    return {path: path.stat().st_mtime_ns for path in paths}


def test_a_grid_goes_on_past_failures_and_resumes(at_once, folder):
    outputs = folder / "outputs"
    first = at_once(*GRID)
    assert first.status == 2
    finished, failed = records(outputs), failures(outputs)
    assert len(finished) == len(failed) == 2
    assert {path.parts[-3] for path in finished} == {"erm"}
    for path in failed:
        content = json.loads(path.read_text())
        assert content["type"] == "FileNotFoundError" and "wanted" in content["reason"]
        assert "in loss" in content["traceback"]

    lines = first.out.splitlines()
    assert len(lines) == 6 and lines[-1] == "2 of 4 runs finished" and "mean of 2 seeds: " in lines[-2]
    for seed in (0, 1):
        named = [line for line in lines if f"seed={seed}" in line and "f1_macro=" in line]
        assert len(named) == 1 and "method._target_=mlbench.methods.erm.ERM" in named[0]
        assert any(named[0].endswith(str(path.relative_to(folder))) for path in finished)
    closing = first.err.splitlines()
    assert len(closing) == 2
    for seed, line in enumerate(closing):
        assert f"outside.Needs seed={seed} " in line and line.endswith("wanted: No such file or directory")

    before, attempts = written(finished), written(failed)
    second = at_once(*GRID)
    assert second.status == 2 and second.out.splitlines()[-1] == "2 of 4 runs finished"
    assert written(records(outputs)) == before  # read, not run again
    assert all(stamp > attempts[path] for path, stamp in written(failures(outputs)).items())  # tried again

    (folder / "wanted").touch()
    third = at_once(*GRID)
    assert (third.status, third.err) == (0, "")
    assert third.out.splitlines()[-1] == "4 of 4 runs finished"
    assert len(records(outputs)) == 4 and not failures(outputs)
    assert before.items() <= written(records(outputs)).items()


def test_what_it_cannot_write_is_named_in_one_line(at_once, folder):
    """As where the disk is full: Hydra's "Error executing job" does not stand before it."""
    (folder / "sweep" / "0.json" / "in the way").mkdir(parents=True)
    done = at_once("-m", "method=prior", "seed=0,1", "hydra.sweep.dir=sweep")
    (line,) = done.err.splitlines()
    assert done.status == 2 and line.startswith("mlbench: sweep/0.json: ")


def test_it_ends_with_the_mean_of_every_result(at_once, folder):
    """Over the folds of a seed, then over the seeds; a result of one run has no such line."""
    kfold = ["split=kfold", "split.folds=2", "split.fold=0,1", "seed=0,1"]
    done = at_once("-m", "method=prior", *kfold, "threshold=fixed,cardinality")
    assert (done.status, done.err) == (0, "")
    found = {}
    for path in records(folder / "outputs"):
        record = json.loads(path.read_text())
        by_seed = found.setdefault(record["choices"]["threshold"], {}).setdefault(record["seed"], [])
        by_seed.append(record["metrics"]["last"]["f1_example"])
    *lines, last = done.out.splitlines()[8:]
    assert len(lines) == 2 and last == "8 of 8 runs finished"
    for line, threshold in zip(lines, ("fixed", "cardinality")):
        words, _, metrics = line.partition(" mean of 2 seeds × 2 folds, ± over seeds: ")
        assert words == f"method=prior split=kfold split.folds=2 threshold={threshold}"
        means = [statistics.fmean(values) for values in found[threshold].values()]
        assert f"f1_example={statistics.fmean(means):.4f}±{statistics.stdev(means):.4f}" in metrics.split()
    one = at_once("-m", "method=prior", "threshold=fixed,cardinality")
    assert len(one.out.splitlines()) == 3 and "mean of" not in one.out


def test_values_of_a_wrong_type_fail_alone(at_once, folder):
    done = at_once("-m", "train.epochs=1,ten", "backbone=linear")
    assert done.status == 2 and len(records(folder / "outputs")) == 1
    assert done.out.splitlines()[-1] == "1 of 2 runs finished"
    (line,) = done.err.splitlines()
    assert "train.epochs=ten backbone=linear" in line and "integer" in line


def test_a_key_that_the_default_choice_lacks(at_once, folder):
    """Hydra looks it up before it sweeps; the message says how each job looks it up for itself."""
    done = at_once("-m", "backbone=mlp,chain", "backbone.hidden=3", "train.epochs=1")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert done.err.rstrip().endswith("write 'backbone.hidden=choice(3)'")
    done = at_once("-m", "backbone=mlp,linear", "backbone.widths=choice([4])", "train.epochs=1")
    assert done.status == 2 and "backbone.widths: no such key" in done.err


def test_a_fault_of_ours_shows_its_trace_and_the_sweep_goes_on(at_once, folder):
    done = at_once(
        "-m", "method._target_=outside.Fails,outside.Needs,mlbench.methods.erm.ERM", "train.epochs=1"
    )
    assert done.status == 2 and len(records(folder / "outputs")) == 1
    assert done.err.count("in your own code") == 1 and "tests/outside.py" in done.err
    assert "ZeroDivisionError" in done.err
    assert done.out.splitlines()[-1] == "1 of 3 runs finished"


def test_joblib_runs_the_grid_in_processes(environment, folder):
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", *GRID, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert len(records(folder / "outputs")) == len(failures(folder / "outputs")) == 2
    lines = done.stdout.splitlines()
    assert len(lines) == 6 and lines[-1] == "2 of 4 runs finished" and "mean of 2 seeds: " in lines[-2]
    closing = done.stderr.splitlines()
    assert len(closing) == 2 and all("outside.Needs" in line and "wanted" in line for line in closing)


def test_runs_that_differ_in_numbers_are_trained_as_one(at_once, folder, monkeypatch):
    """And end where each ends alone; one by one where a person says so."""
    from mlbench.engine import many

    sizes, train = [], many._train
    monkeypatch.setattr(many, "_train", lambda jobs: (sizes.append(len(jobs)), train(jobs))[1])
    sweep = ["-m", "seed=0,1", "train.optimizer.lr=0.001,0.01", "backbone=linear,mlp", "train.epochs=1"]
    together = at_once(*sweep)
    assert (together.status, together.err, sizes) == (0, "", [4, 4])
    assert together.out.splitlines()[-1] == "8 of 8 runs finished"
    found = {path.parent.name: json.loads(path.read_text()) for path in records(folder / "outputs")}
    single = at_once(*sweep, "engine=single", "paths.outputs=alone")
    assert single.status == 0 and len(sizes) == 2
    alone = {path.parent.name: json.loads(path.read_text()) for path in records(folder / "alone")}
    assert found.keys() == alone.keys() and len(found) == 8
    for key, record in found.items():
        for metric, value in record["metrics"]["last"].items():
            assert abs(value - alone[key]["metrics"]["last"][metric]) < 1e-4, metric
