"""The hash of a run's code: what changes it, and what does not."""

import sys

import pytest

from mlbench.compose import configure
from mlbench.results import code

METHOD = """\
from mlbench.methods.erm import ERM
import nets.wide
from nets import deep
import json


class Mine(ERM):
    def loss(self, batch):
        return super().loss(batch) * nets.wide.FACTOR * deep.FACTOR
"""
WITH_WORDS = METHOD.replace("    def loss", "    '''One.\n\n    Two.''' # why\n\n    def loss")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """own("mine.py", text) writes a module; own() is what a new process finds of mine.py."""
    monkeypatch.syspath_prepend(tmp_path)

    def own(name=None, text=""):
        if name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        code.read.cache_clear(), code.spec_of.cache_clear()
        return None if name else code.sources(["mine"])

    own("mine.py", METHOD)
    own("nets/__init__.py")
    own("nets/wide.py", "FACTOR = 2  # by hand\n")
    own("nets/deep.py", "from .parts import FACTOR\n")
    own("nets/parts.py", "FACTOR = 3\n")
    own("nets/unused.py", "FACTOR = 4\n")
    own("beside.py", "FACTOR = 5\n")
    return own


def test_what_a_module_imports_of_the_same_folder_counts_and_is_not_imported(own):
    modules = own()
    persons = {name for name in modules if not name.startswith("mlbench.")}
    assert persons == {"mine", "nets", "nets.wide", "nets.deep", "nets.parts"}
    assert {"mlbench.methods.erm", "mlbench.methods.base"} <= modules.keys()
    assert not persons & sys.modules.keys()


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("mine.py", METHOD.replace("deep.FACTOR", "2"), True),
        ("nets/wide.py", "FACTOR = 2.0\n", True),
        ("nets/parts.py", "FACTOR = '3 # three'\n", True),
        ("nets/__init__.py", "import random\nrandom.seed(1)\n", True),
        ("nets/parts.py", '"""Doc."""\n\n# why\nFACTOR = 3  # three\n', False),
        ("mine.py", WITH_WORDS, False),
        ("nets/unused.py", "FACTOR = 5\n", False),
        ("beside.py", "FACTOR = 6\n", False),
    ],
)
def test_a_changed_line_changes_it_and_a_comment_does_not(name, text, changes, own):
    before = own()
    own(name, text)
    assert (own() != before) == changes


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 'a'  # b", "x = 'a'", True),
        ("x = '# b'", "x = '# c'", False),
        ('def f():\n    "doc"\n    return 1', "def f():\n    return 1", True),
        ('def f(): "doc"', "def f(): pass", False),
        ('x = """a\nb"""', 'x = """a\nc"""', False),
        ('"""é"""; x = 1', '"""é"""; x = 2', False),
        ("if a:\n    x\ny", "if a:\n    x\n    y", False),
        ("f(\n    'a',  # why\n\n    'b',\n)", "f(\n    'a',\n    'b',\n)", True),
        ("f(\n    'a',\n)", "f(\n    'b',\n)", False),
        ("x = 1\n\x0cy = 2", "x = 1\n\x0cy = 3", False),
    ],
)
def test_only_words_are_left_out(one, other, same):
    assert (code.bare(one) == code.bare(other)) == same


@pytest.mark.parametrize(
    ("words", "some"),
    [
        ("method=erm", {"methods.erm", "methods.base", "backbones.mlp", "losses.bce", "data.task"}),
        ("method=ant", {"methods.amalgamation.ant", "methods.amalgamation.teachers", "backbones.chain"}),
        ("method=br", {"methods.classical.binary", "methods.fitted"}),
    ],
)
def test_of_this_package_what_a_method_is_made_of_counts_and_no_other_room(words, some):
    config = configure([words])
    modules = code.sources(
        node["_target_"].rpartition(".")[0] for node in (config.method, config.loss, config.backbone)
    )
    assert {f"mlbench.{name}" for name in some} <= modules.keys()
    assert {name.split(".")[1] for name in modules} <= {"methods", "losses", "backbones", "layers", "data"}


def test_the_hash_is_of_what_the_method_takes():
    """`br` takes no loss; what a library's optimiser is, its version tells."""
    assert code.code_of(configure(["method=br"])) == code.code_of(configure(["method=br", "loss=focal"]))
    assert code.code_of(configure([])) == code.code_of(configure(["seed=1", "train/optimizer=adamw"]))
    different = [[], ["method=prior"], ["loss=focal"], ["backbone=linear"]]
    assert len({code.code_of(configure(words)) for words in different}) == len(different)


@pytest.mark.parametrize("name", ["sys", "torch.nn", "nowhere.at.all", "mlbench.tables.plan", "__main__", ""])
def test_what_is_no_source_of_ours_or_of_the_person_has_no_code(name):
    assert code.sources([name]) == {}
