"""Tables of text read quickly: the same rows and the same sentences as pandas gives, whatever is in them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.data import new_rows, plain_tables
from mlbench.data.new_rows import Asked
from mlbench.data.plain_tables import NotPlain
from mlbench.data.schema import Schema
from mlbench.errors import UserError

WORDS = ("calm", "gale")
LABELS = ("rain", "snow")
FILLS = {"wet": 0.5, "cold": -1.0, "wind": "calm"}
PLAIN = ["1", "-2.5", "0.1", "1e-3", "123456789", "0"]
ODD = [
    "",
    "NA",
    "?",
    " 1",
    "1 ",
    '"1"',
    "+1",
    "yes",
    "True",
    "x",
    "inf",
    "1e39",
    "nan",
    "1,5",
    "\t",
    "0x1",
    "é",
]
NUMBERS = st.sampled_from(PLAIN * 4 + ODD) | st.floats(-1e6, 1e6, width=32).map(repr)
CELLS = {
    "name": st.sampled_from(["a", "b c", "007", " x", '"q"', "NA", "", "é"]),
    "wet": NUMBERS,
    "cold": NUMBERS,
    "wind": st.sampled_from([*WORDS * 4, " calm", '"gale"', "", "NA", "storm"]),
    "rain": st.sampled_from(["0", "1"] * 6 + ["2", "yes", ""]),
    "snow": st.sampled_from(["0", "1"]),
    "note": st.sampled_from(["", "free", "tèxt", '"a, b"', '"two\nlines"', "3"]),
}


def schema(fills):
    return Schema(
        ("wet", "cold", "wind=gale"), LABELS, {"wind": WORDS}, FILLS if fills else {}, {"id": ("name",)}
    )


@st.composite
def tables(draw):
    """Most cells plain, so that many tables are so from end to end; ends of lines, a mark, ragged rows."""
    columns = draw(st.permutations(list(CELLS)))
    odd = draw(st.booleans())
    plain = {"note": st.just("free"), "wind": st.sampled_from(WORDS), "name": st.sampled_from(["a", "7"])}
    plain |= dict.fromkeys(("wet", "cold"), st.sampled_from(PLAIN))
    plain |= dict.fromkeys(LABELS, st.sampled_from("01"))
    cells = CELLS if odd else plain
    rows = draw(st.lists(st.tuples(*(cells[name] for name in columns)), min_size=0, max_size=9))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"] + ["\r"] * odd))
    lines = [",".join(row) for row in [columns, *rows]]
    if odd and draw(st.booleans()):
        lines.insert(draw(st.integers(1, len(lines))), draw(st.sampled_from(["", "  ", "1,2", "1," * 9])))
    text = end.join(lines) + draw(st.sampled_from([end, ""]))
    return (b"\xef\xbb\xbf" if draw(st.booleans()) else b"") + text.encode(
        draw(st.sampled_from(["utf-8"] * 4 + ["latin-1"]))
    )


def read(path, fills, known):
    """What is there, or the sentence that says why it is not, with all pieces before."""
    found = []
    try:
        for piece in new_rows.pieces(Asked(str(path), rows=2), schema(fills), {"separator": ","}, known):
            found.append(piece)
    except UserError as error:
        return found, str(error)
    return found, ""


@settings(max_examples=150, deadline=None)
@given(tables(), st.booleans(), st.sampled_from([64, 1 << 20]))
def test_a_quick_reader_gives_what_pandas_gives(tmp_path_factory, content, fills, block):
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plain_tables, "BLOCK", block)
        quick, said = read(path, fills, None)
        patched.setattr(new_rows, "plain_frames", refuse)
        careful, expected = read(path, fills, None)
    assert said == expected and len(quick) == len(careful)
    for one, other in zip(quick, careful):
        assert one.ids.tolist() == other.ids.tolist()
        np.testing.assert_allclose(one.features, other.features, rtol=1e-7)
        assert one.features.dtype == other.features.dtype == np.float32
        assert (one.targets is None) == (other.targets is None)
        assert one.targets is None or one.targets.tolist() == other.targets.tolist()


def refuse(*_):
    raise NotPlain
    yield


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.bz2", "csv.xz"])
def test_a_plain_table_is_read_quickly_from_end_to_end(suffix, tmp_path, monkeypatch):
    """And one with an odd cell at its end up to there."""
    import pandas as pd

    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["wet", "cold"])
    rows["wind"], rows["name"], rows["note"] = "gale", [f"day {n}" for n in range(50)], "x"
    rows.to_csv(tmp_path / f"a.{suffix}", index=False)
    monkeypatch.setattr(plain_tables, "BLOCK", 256)
    asked = Asked(str(tmp_path / f"a.{suffix}"), rows=7)
    careful, calls = pd.read_csv, []
    monkeypatch.setattr(pd, "read_csv", lambda *a, **k: calls.append(k) or careful(*a, **k))
    pieces = [*new_rows.pieces(asked, schema(False), {}, None)]
    assert [len(piece.ids) for piece in pieces] == [7] * 7 + [1]
    assert np.concatenate([p.ids for p in pieces]).tolist() == rows.name.tolist()
    expected = rows[["wet", "cold"]].assign(gale=1).to_numpy(np.float32)
    assert np.array_equal(np.concatenate([p.features for p in pieces]), expected)
    assert [call.get("nrows") for call in calls] == [0]  # of the header alone
    rows.astype(object).replace({"wet": {rows.wet[49]: "wet"}}).to_csv(tmp_path / f"a.{suffix}", index=False)
    given = new_rows.pieces(asked, schema(False), {}, None)
    assert len([next(given) for _ in range(7)]) == 7
    with pytest.raises(UserError, match=r"row 49 \(from 0\): column 'wet' is wet, and a feature is a"):
        next(given)
