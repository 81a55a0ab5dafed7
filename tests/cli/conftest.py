"""What tests of several commands share."""

import pytest


@pytest.fixture
def predict(start):
    def run(*words, **how):
        return start(*words, program="mlbench.commands.predict", **how).wait()

    return run
