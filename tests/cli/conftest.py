"""What tests of several commands share."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from weather import TRAIN, weather_in


@pytest.fixture
def predict(start):
    def run(*words, **how):
        return start(*words, program="mlbench.commands.predict", **how).wait()

    return run


@pytest.fixture
def weather(folder):
    return weather_in(folder)


@pytest.fixture
def trained(command, folder, weather):
    """trained("threshold=cardinality") is the folder of a run."""

    def train(*words):
        without = {"method=br", "method=mlknn", "method=prior"} & {*words}  # they take no epochs
        epochs = [] if without else ["train.epochs=3"]
        done = command(*TRAIN, *epochs, *words)
        assert (done.status, done.err) == (0, ""), done
        return (folder / done.out.split()[-1]).parent

    return train
