"""A data set of the hub's kind, as a person types it: trained on, and new rows of its kind predicted."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from commands import records
from pictures import encoded, pixels

WORDS = (
    "dataset=hub",
    "dataset.path=drawings",
    "dataset.text=title",
    "dataset.image=drawing",
    "dataset.labels=tags",
)
QUICK = ("train.epochs=3", "train.progress=false")


@pytest.fixture
def drawings(folder):
    """drawings/data/: forty rows to train and twenty to test on, with titles, images and labels."""
    feature = {"feature": {"names": ["sun", "rain"], "_type": "ClassLabel"}, "_type": "Sequence"}
    about = {"huggingface": json.dumps({"info": {"features": {"tags": feature}}})}
    numbers = range(60)
    tags = [[label for label, every in ((1, 2), (0, 3)) if number % every == 0] for number in numbers]
    titles = [f"a drawing of {' and '.join(['sun', 'rain'][tag] for tag in each)}" for each in tags]
    images = [{"bytes": encoded(pixels(seed=number % 3)), "path": None} for number in numbers]
    made = pa.table({"title": titles, "drawing": images, "tags": tags}).replace_schema_metadata(about)
    (folder / "drawings" / "data").mkdir(parents=True)
    for part, rows in (("train", range(40)), ("test", range(40, 60))):
        parquet.write_table(
            made.take(pa.array(rows)), folder / f"drawings/data/{part}-0.parquet", row_group_size=7
        )
    return folder / "drawings"


def test_a_run_on_texts_and_images_and_its_predictions(at_once, start, folder, drawings):
    words = ("split=official", "encoder.text=bow", "encoder.image=colour_histogram", "method=m3la")
    done = at_once(*WORDS, *words, *QUICK)
    assert done.status == 0, done.err
    (path,) = records(folder / "outputs")
    record = json.loads(path.read_text())
    assert record["parts"] == {"train": 40, "test": 20} and path.parents[2].name == "drawings"
    assert record["data"]["encoders"].keys() == {"text", "image"}
    with np.load(path.with_name("scores.npz")) as kept:
        scores = kept["last"]
    given = (f"run={path.parent}", "path=drawings/data/test-0.parquet")
    done = start(*given, program="mlbench.commands.predict").wait()
    assert (done.status, done.err) == (0, ""), done
    found = pd.read_csv(io.StringIO(done.out))
    np.testing.assert_allclose(found[["sun", "rain"]], scores, atol=1e-6)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("dataset.text=titel", "has no column 'titel'; it has title, drawing, tags; did you mean title"),
        ("dataset.image=title", "dataset.image names one that holds images"),
        ("dataset.path=nowhere/to/be", "dataset.path=nowhere/to/be: there is no such folder or file"),
        ("dataset.subset=big", "has no subset big; it has none"),
    ],
)
def test_a_mistake_is_a_line(at_once, drawings, word, said):
    given = [each for each in WORDS if each.partition("=")[0] != word.partition("=")[0]]
    done = at_once(*given, word, "encoder.text=bow", "encoder.image=colour_histogram", *QUICK)
    assert done.status == 2 and said in done.err.strip().splitlines()[-1], done.err
