"""What a served run answers: the scores of `mlbench predict`, or a sentence with status 422."""

import base64
import dataclasses
import io
import json
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from mlbench.data.schema import Schema
from mlbench.errors import UserError
from mlbench.predict import Trained, predictions
from mlbench.serve.given import columns_in

COLUMNS = ["wet", "cold", "wind", "side"]
ROW = {"wet": 1.5, "cold": -3, "wind": "calm", "side": "lee"}


def rows_of(table):
    """As JSON has them."""
    return json.loads(table.to_json(orient="records"))


def scores_of(folder):
    with np.load(folder / "scores.npz") as kept:
        return kept["last"]


def close(found, wanted):
    np.testing.assert_allclose(found["scores"], wanted, rtol=0, atol=1e-6)


def test_rows_in_every_form_have_the_scores_of_the_run(serving, trained, made):
    new, client = made.weather[50:], serving()
    wanted, shuffled = scores_of(trained()), ["side", "wind", "cold", "wet"]
    for given in (
        {"rows": rows_of(new)},
        {"rows": rows_of(new[shuffled])},
        {"rows": new[COLUMNS].values.tolist()},
        {"rows": rows_of(new[COLUMNS].astype(str))},
        {"csv": new.to_csv(index=False)},
        {"csv": new[shuffled].to_csv(index=False, sep=";")},
        {"csv": new[COLUMNS].to_csv(index=False, header=False, lineterminator="\r\n")},
        {"csv": "\ufeff\n" + new[COLUMNS].to_csv(index=False, sep="\t", quoting=1)},
    ):
        close(client.predict(**given), wanted)
    close(client.predict(rows=rows_of(new)[0]), wanted[:1])
    close(client.predict(rows=[new[COLUMNS].values.tolist()[0], rows_of(new)[1]]), wanted[:2])


def test_sets_cuts_and_what_was_left_out(serving, trained, made):
    words = ("threshold=per_label", "threshold.fit_on=training", "backbone=linear")
    found = serving(words).predict(
        rows=[row | {"note": "?", "rain": 7} for row in rows_of(made.weather[50:])]
    )
    (piece,) = predictions([Trained.of_run(trained(*words))], str(made.folder / "test.csv"))
    assert found["labels"] == ["rain", "snow"] and found["left_out"] == ["note"]
    sets = [[name for name, inside in zip(("rain", "snow"), row) if inside] for row in piece.sets.tolist()]
    assert found["sets"] == sets and [] in sets and ["rain"] in sets
    cuts, scores = np.array(found["cuts"]), np.array(found["scores"])
    assert ((scores > cuts) == piece.sets.numpy()).all() and cuts[0] != cuts[1]


def test_several_runs_answer_together(serving, trained, made):
    client = serving(("seed=1",), ("seed=2", "backbone=linear"))
    runs = [Trained.of_run(trained("seed=1")), Trained.of_run(trained("seed=2", "backbone=linear"))]
    (piece,) = predictions(runs, str(made.folder / "test.csv"))
    close(client.predict(rows=rows_of(made.weather[50:])), piece.scores)
    about, metrics = client.ask("GET", "/about").json, client.ask("GET", "/metrics").json
    assert [(run["method"], run["seed"]) for run in about["runs"]] == [("erm", 1), ("erm", 2)]
    by_name = {row["name"]: row for row in metrics["metrics"]}
    wanted = [json.loads((run.path.parent / "record.json").read_text())["metrics"]["last"] for run in runs]
    assert by_name["f1_macro"]["values"] == [values["f1_macro"] for values in wanted]
    assert by_name["f1_macro"]["interval"] is None and metrics["draws"] == 0


def test_a_rule_without_cuts_for_new_rows_has_no_sets(serving):
    found = serving(("threshold=top_k", "threshold.k=1")).predict(rows=[ROW])
    assert found["sets"] is None and found["cuts"] is None and len(found["scores"]) == 1


def given_of(kind, made, ids):
    rows = [made.drawings[row] for row in ids]
    content = {}
    if kind in ("text", "both"):
        content["texts"] = [row["title"] for row in rows]
    if kind in ("image", "both"):
        content["images"] = [base64.b64encode(made.pictures[row["file"]]).decode() for row in rows]
    return content


@pytest.mark.parametrize("kind", ["text", "image", "both"])
def test_texts_and_images_have_the_scores_of_the_run(kind, serving, trained, made):
    with np.load(trained(kind) / "scores.npz") as kept:
        ids, wanted = kept["ids"], kept["last"]
    client = serving((kind,))
    assert np.ptp(wanted, axis=0).min() > 0.01
    close(client.predict(**given_of(kind, made, ids)), wanted)
    if kind == "text":
        close(
            client.predict(texts=[{"title": made.drawings[row]["title"], "more": 1} for row in ids]), wanted
        )


def test_twenty_at_once_have_what_each_has_alone(serving, made):
    client, rows = serving(), rows_of(made.weather[COLUMNS])
    shares = [random.Random(number).sample(rows, 1 + number) for number in range(20)]
    alone = [client.predict(rows=share) for share in shares]
    with ThreadPoolExecutor(20) as pool:
        assert [*pool.map(lambda share: client.predict(rows=share), shares)] == alone


WRONG = {
    "NaN": (
        b'{"rows": [{"wet": NaN, "cold": 1, "wind": "calm", "side": "lee"}]}',
        "it has NaN, and a feature is",
    ),
    "infinity": ({"rows": [ROW, ROW | {"wet": "inf"}]}, "row 1 (from 0): column 'wet' is inf"),
    "too large": (b'{"rows": [[1e999, 1, "calm", "lee"]]}', "row 0 (from 0): column 'wet' is inf"),
    "too long": ({"rows": [[10**400, 1, "calm", "lee"]]}, "row 0 (from 0): column 'wet' is 1000"),
    "digits": (b'{"rows": [[' + b"9" * 5000 + b', 1, "calm", "lee"]]}', "the body is no JSON"),
    "nothing": ({"rows": [ROW | {"cold": None}]}, "row 0 (from 0): column 'cold' is null, neither a number"),
    "empty": ({"rows": [ROW | {"cold": " "}]}, "row 0 (from 0): column 'cold' is empty, and"),
    "a list": ({"rows": [ROW | {"cold": [1]}]}, "row 0 (from 0): column 'cold' is [1], neither a number"),
    "a word": (
        {"rows": [ROW, ROW | {"wind": "clam"}]},
        "row 1 (from 0): column 'wind' is clam, which training",
    ),
    "no number": ({"rows": [ROW | {"wet": "1,5"}]}, "row 0 (from 0): column 'wet' is 1,5, and a feature"),
    "a column less": ({"rows": [ROW, {"wet": 1}]}, "row 1 (from 0) has no column 'cold'"),
    "a column misspelt": (
        {"rows": [{"wett": 1, "cold": 1, "wind": "calm", "side": "lee"}]},
        "row 0 (from 0) has no column 'wet'; did you mean wett?",
    ),
    "a cell less": (
        {"rows": [[1, 2, "calm"]]},
        "row 0 (from 0) has 3 cells for 4 columns: wet, cold, wind, side",
    ),
    "a number": ({"rows": 5}, "row 0 (from 0) is 5, neither an object nor a list of cells"),
    "mixed": ({"rows": [ROW, 5]}, "row 0 (from 0) has 2 cells"),
    "no rows": ({"rows": []}, "there are no rows"),
    "no key": ({}, "one of rows and csv is needed"),
    "both": ({"rows": [ROW], "csv": "1"}, "one of rows and csv is needed"),
    "a path": ({"path": "/etc/passwd"}, "path: no such key; this run takes rows or csv"),
    "near": ({"row": [ROW]}, "row: no such key; this run takes rows or csv; did you mean rows?"),
    "texts": ({"texts": ["a"]}, "texts: no such key"),
    "a list of all": ([ROW], "should be an object"),
    "no JSON": (b'{"rows": [', "the body is no JSON"),
    "no UTF-8": (b'{"rows": "\xff"}', "the body is not UTF-8"),
    "depth": (b'{"rows":' + b"[" * 500_000 + b"]" * 500_000 + b"}", "nested more deeply than any request is"),
    "objects": (b'{"rows":' * 60_000 + b"1" + b"}" * 60_000, "nested more deeply than any request is"),
    "csv less": ({"csv": "1,2,calm,lee\n1,2,calm"}, "row 1 (from 0) has 3 cells for 4 columns"),
    "csv head less": ({"csv": "wet,cold,wind\n1,2,calm"}, "the header line: 1 of the 4 columns"),
    "csv head twice": ({"csv": "wet,wet,cold,wind,side\n1,1,2,calm,lee"}, "the header line has 'wet' twice"),
    "csv head alone": ({"csv": "wet,cold,wind,side\n"}, "there are no rows"),
    "csv more": ({"csv": "wet,cold,wind,side\n1,2,calm,lee,5"}, "row 0 (from 0) has 5 cells for 4 columns"),
    "csv empty": ({"csv": " \n"}, "csv is empty"),
    "csv list": ({"csv": ["1,2"]}, "csv is "),
    "csv quote": ({"csv": 'wet,cold,wind,side\n1,2,"calm,lee'}, "row 0 (from 0) has 3 cells"),
    "csv wide": ({"csv": "1,2," + "x" * 200_000 + ",lee"}, "csv cannot be read: field larger than"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_scored_is_a_sentence(name, serving, made):
    body, sentence = WRONG[name]
    answered = serving().post(body)
    assert answered.status == 422 and answered.json.keys() == {"error"}
    said = answered.json["error"]
    assert sentence in said and "\n" not in said and len(said) < 500, said
    assert str(made.folder) not in said


def test_a_score_that_is_no_number_is_refused(serving, trained, monkeypatch):
    monkeypatch.setattr("mlbench.predict.score_rows", lambda *_: torch.tensor([[0.5, 0.5], [0.5, torch.nan]]))
    answered = serving().post({"rows": [ROW, ROW]})
    assert (
        answered.status == 422
        and "row 1 (from 0): the score of 'snow' is no number" in answered.json["error"]
    )


def picture(width, height):
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG", optimize=False)
    return base64.b64encode(file.getvalue()).decode()


def test_texts_and_images_that_cannot_be_scored(serving, made):
    fine = base64.b64encode(made.pictures["0.png"]).decode()
    half = base64.b64encode(made.pictures["0.png"][:60]).decode()
    bomb = picture(9000, 9000)
    for kind, body, sentence in (
        ("text", {"texts": [5]}, "text 0 (from 0) is 5, neither a text nor an object with title"),
        (
            "text",
            {"texts": ["a", {"tilte": "b"}]},
            "row 1 (from 0) has no field 'title'; it has tilte; did you",
        ),
        ("text", {"texts": ["\ud800"]}, "row 0 (from 0) holds half a character"),
        ("text", {"texts": "a"}, 'texts is "a", and should be a list'),
        ("text", {"rows": [ROW]}, "rows: no such key; this run takes texts"),
        ("image", {"images": []}, "images is [], and should be a list"),
        ("image", {"images": [fine, "0.png"]}, "image 1 (from 0) is no base64 of an image file"),
        ("image", {"images": ["/etc/passwd"]}, "image 0 (from 0) "),
        ("image", {"images": [fine, half]}, "image 1 (from 0) cannot be decoded"),
        ("image", {"images": [bomb]}, "the images have 81,000,000 pixels together, more than the 64,000,000"),
        ("image", {"images": [picture(5000, 5000)] * 3}, "the images have 75,000,000 pixels together"),
        ("both", {"images": [fine]}, "texts is missing, and should be a list"),
        (
            "both",
            {"images": [fine], "texts": ["a", "b"]},
            "there are 2 texts and 1 images: a row has one of each",
        ),
    ):
        answered = serving((kind,)).post(body)
        assert answered.status == 422 and sentence in answered.json["error"], (answered.status, answered.json)
        assert str(made.folder) not in answered.json["error"]


def test_requests_may_leave_out_what_training_fills():
    schema = Schema(("wet", "side=luv"), ("rain",), {"side": ("lee", "luv")}, {"wet": 2.5, "side": "luv"})
    for given in (
        {"rows": [{"wet": None, "side": "lee"}, {"wet": 1, "side": None}]},
        {"rows": [[None, "lee"], ["1", ""]]},
        {"csv": "side,wet\nlee,\n?,1\n"},
    ):
        (piece,), _ = columns_in(given, [schema])
        np.testing.assert_array_equal(piece.features, [[2.5, 0], [1, 1]])
    with pytest.raises(UserError, match="column 'wet' is null, neither"):
        columns_in({"rows": [{"wet": None, "side": "lee"}]}, [dataclasses.replace(schema, fills={})])


def test_each_of_several_runs_reads_a_request_by_its_own_columns():
    """In another order, with another fill; what a run dropped in training is not strange."""
    one = Schema(("wet", "cold"), ("rain",), {}, {"wet": 2.5, "cold": 1.0}, {"drop": ("note",)})
    other = Schema(("cold", "wet"), ("rain",), {}, {"wet": 7.0, "cold": 1.0}, {"id": ("station",)})
    row = {"wet": None, "cold": 3, "note": "?", "station": "s1", "more": 0}
    (first, second), left_out = columns_in({"rows": [row]}, [one, other])
    assert first.features.tolist() == [[2.5, 3]] and second.features.tolist() == [[3, 7]]
    assert left_out == ["more"]
