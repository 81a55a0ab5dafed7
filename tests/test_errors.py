"""What a person is told is one line that a terminal can show, whatever a file or a library put into it."""

import sysconfig

import pytest

from mlbench.errors import LONGEST, UserError, did_you_mean, trace


@pytest.mark.parametrize(
    "said, shown",
    [
        ("a folder of  two spaces", "a folder of  two spaces"),
        ("cut off\nat a\r\nline\u2028end", "cut off at a line end"),
        ("bell \a, colour \x1b[31m, nothing \0", r"bell \x07, colour \x1b[31m, nothing \x00"),
        ("a name with a byte \udcff", r"a name with a byte \udcff"),
        ("é, 中 and ×", "é, 中 and ×"),
    ],
)
def test_one_line(said, shown):
    assert str(UserError(said)) == shown


@pytest.mark.parametrize("sign", "a\0")
def test_what_is_too_long_keeps_its_beginning_and_its_end(sign):
    said = str(UserError("my.csv: " + sign * 10**6 + ": remove it"))
    assert len(said) < LONGEST and said.startswith("my.csv: ") and said.endswith(": remove it")


def test_the_nearest_name_of_what_may_be_mistyped():
    assert did_you_mean("Sae", ["sky", "Sea"]) == "; did you mean Sea?"
    assert did_you_mean("ab" * 10**6, ["ba" * 10**6, "ab" * 10**5]) == ""


def test_a_trace_from_another_process_is_ones_own_code_too():
    """Of what another process raised there is only its text."""
    library = f'  File "{sysconfig.get_path("stdlib")}/x.py", line 1, in run\n    go()\n    ^^^^\n'
    mine = '  File "/home/me/mine.py", line 7, in loss\n    return 1 / 0\n           ~~^~~\n'
    try:
        raise RuntimeError(
            f"-- Process 1 ended:\nTraceback:\n{library}{mine}{library}ZeroDivisionError: no\n"
        )
    except RuntimeError as error:
        error.__traceback__ = None
        first, *rest = trace(error).splitlines()
    assert first.startswith("mlbench: in your own code")
    assert rest == [*mine.splitlines(), "ZeroDivisionError: no"]
