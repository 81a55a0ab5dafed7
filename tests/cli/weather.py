"""A small table of one's own, and runs on it, for tests of predict."""

import io

import numpy as np
import pandas as pd

ROWS = 40
WORDS = ("calm", "breeze", "storm")
COLUMNS = ["wet", "cold", "wind", "side"]
TRAIN = ["dataset=csv", "dataset.path=train.csv", "dataset.test=test.csv", "dataset.labels=[rain,snow]"]
TRAIN += ["split=official"]


def weather_in(folder):
    """A table with numbers, a column of three words and one of two, and two labels."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "wet": rng.normal(size=ROWS).round(4),
            "cold": rng.normal(size=ROWS).round(4) * 100,
            "wind": [WORDS[number % 3] for number in range(ROWS)],
            "side": rng.choice(["lee", "luv"], ROWS),
        }
    )
    table["rain"] = (table.wet > 0).astype(int)
    table["snow"] = ((table.cold > 0) & (table.wind != "calm")).astype(int)
    table[:30].to_csv(folder / "train.csv", index=False)
    table[30:].to_csv(folder / "test.csv", index=False)
    return table


def scores_of(run):
    with np.load(run / "scores.npz") as kept:
        return kept["last"]


def table_of(text):
    return pd.read_csv(io.StringIO(text), dtype={"id": str})
