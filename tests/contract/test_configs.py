"""Every YAML that is shipped: it composes, it says all its target takes, and it alone holds the defaults."""

import inspect

import pytest
from omegaconf import OmegaConf

from mlbench.compose import GROUPS as OF_A_RUN
from mlbench.compose import config_dir, configure
from mlbench.config import Config, Outputs, Paths, Selection, Train, target
from mlbench.data.datasets import reader_named
from mlbench.search import spec as searches
from mlbench.signatures import supplied_to
from mlbench.tables import spec

GROUPS = (*OF_A_RUN, "launch")  # the last says where runs go
NESTED = ("train/optimizer", "train/scheduler")
ENCODERS = {
    "encoder/text": "dataset=tmdb10k",
    "encoder/image": "dataset=ml2000",
}  # and a data set that has such a field
# Composed by every test here: config.yaml is what the others are composed into, and names the help.
ALWAYS = {"config.yaml", "hydra/help/mlbench.yaml"}
# Read by mlbench.tables and mlbench.search, whose overrides are composed when their runs are planned.
LISTS = ("table/", "sweep/")
BESIDE = {
    "aaai2024": "mulsupcon_ld"
}  # a paper that no method chooses by itself: the one whose methods it is for
OWN_GROUPS = (
    "method",
    "backbone",
    "loss",
    "split",
    "calibration",
    "threshold",
    "logger",
    "launch",
    *ENCODERS,
)


def shipped_files() -> list[str]:
    """Paths below conf/. conf/local is this machine's own and not under version control."""
    found = sorted(path.relative_to(config_dir()).as_posix() for path in config_dir().rglob("*.yaml"))
    return [path for path in found if not path.startswith("local/")]


def files_of(*groups: str) -> list[str]:
    return [path for path in shipped_files() if path.rpartition("/")[0] in groups]


def composed_files() -> list[str]:
    return [path for path in shipped_files() if path not in ALWAYS and not path.startswith(LISTS)]


def content_of(path: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(config_dir() / path))


def own_content(path: str) -> dict:
    return {key: value for key, value in content_of(path).items() if key != "defaults"}


def group_and_name(path: str) -> tuple[str, str]:
    group, _, name = path.removesuffix(".yaml").rpartition("/")
    return group, name


def nested_in(path: str) -> dict[str, str]:
    """What its defaults list puts into it from another group: the key there, and that group."""
    entries = [entry for entry in content_of(path).get("defaults", []) if isinstance(entry, dict)]
    placed = [key.lstrip("/").split("@") for entry in entries for key in entry if "override" not in key]
    return {place[1]: place[0] for place in placed if len(place) == 2}


def methods_of_paper(paper: str) -> list[str]:
    """Their files choose its settings, or those of another paper beside which it stands."""
    chosen = {"override /paper@_global_.paper": BESIDE.get(paper, paper)}
    return [path for path in files_of("method") if chosen in content_of(path).get("defaults", [])]


def overrides_for(path: str) -> list[str]:
    """A command that needs this file, with something in place of what a person must give."""
    group, name = group_and_name(path)
    wanted = [key for key, value in own_content(path).items() if value == "???"]
    asked = [f"{group}.{key}={'{a: something}' if key == 'files' else 'something'}" for key in wanted]
    if group in (*GROUPS, *NESTED):
        return [f"{group}={name}", *asked]
    if group in ENCODERS:
        chosen_by = ["backbone=hf_text"] if name == "pieces" else []
        said = (word.replace("/", ".", 1) for word in asked)
        return [ENCODERS[group], *chosen_by, f"{group}={name}", *said]
    own_data = ["dataset=npz", "dataset.path=something"]  # for which no paper has settings
    if group == "paper":
        methods = methods_of_paper(name)[:1]
        return [*[f"method={group_and_name(method)[1]}" for method in methods], f"paper={name}", *own_data]
    if group.startswith("settings/"):
        paper = group.removeprefix("settings/")
        method = methods_of_paper(paper)[0]
        return [f"method={group_and_name(method)[1]}", f"paper={paper}", f"dataset={name}"]
    method = next(method for method in files_of("method") if group in nested_in(method).values())
    key = next(key for key, where in nested_in(method).items() if where == group)
    return [f"method={group_and_name(method)[1]}", f"{group}@method.{key}={name}", *own_data]


def place_of(path: str) -> list[str]:
    """Where in the whole its content belongs."""
    group, _ = group_and_name(path)
    if "# @package _global_" in (config_dir() / path).read_text():
        return []
    slots = {
        where: ["method", key] for method in files_of("method") for key, where in nested_in(method).items()
    }
    return slots.get(group) or group.split("/")


def part_of_node(said: dict, node: dict) -> dict:
    """What `node` has where `said` says something."""
    return {
        key: part_of_node(value, node[key]) if isinstance(value, dict) else written(node.get(key, "nothing"))
        for key, value in said.items()
    }


def written(value: object) -> object:
    """As a YAML file has it: a pair of numbers is a list."""
    return [*value] if isinstance(value, tuple) else value


def options_of(function, supplied=None) -> dict[str, inspect.Parameter]:
    """The parameters that a configuration may name."""
    supplied = supplied or supplied_to(function)
    parameters = inspect.signature(function).parameters.items()
    return {name: each for name, each in parameters if each.kind != each.VAR_KEYWORD and name not in supplied}


def base_of(path: str) -> str | None:
    """The file that a preset changes some values of."""
    group, _ = group_and_name(path)
    names = [
        each for each in content_of(path).get("defaults", []) if isinstance(each, str) and each != "_self_"
    ]
    return f"{group}/{names[0]}.yaml" if names else None


def pieces() -> list[str]:
    """The files that name a target, and build on no other file."""
    return [path for path in files_of(*OWN_GROUPS) if not base_of(path) and content_of(path)["_target_"]]


def test_every_shipped_file_is_composed_by_a_test():
    """A file of a group that is not here yet: say in `overrides_for` which command needs it."""
    nested = {where for method in files_of("method") for where in nested_in(method).values()}
    known = {*GROUPS, *NESTED, *ENCODERS, *nested, "paper"}
    groups = {group_and_name(path)[0] for path in composed_files()}
    assert {group for group in groups if not group.startswith("settings/")} <= known


@pytest.mark.parametrize("path", composed_files())
def test_it_composes_and_its_values_are_those_that_count(path):
    config = configure(overrides_for(path))
    node = config.model_dump()
    for step in place_of(path):
        node = node[step]
    elsewhere = ("???", "${")  # given by a person, or taken from another place
    said = {key: value for key, value in own_content(path).items() if not str(value).startswith(elsewhere)}
    assert part_of_node(said, node) == said


@pytest.mark.parametrize("path", [path for path in shipped_files() if path.startswith("table/")])
def test_a_table_is_read(path):
    name = path.removeprefix("table/").removesuffix(".yaml")
    assert name in spec.names() and spec.read(name).title


@pytest.mark.parametrize("path", files_of("sweep"))
def test_a_sweep_searches_keys_that_there_are(path):
    search = searches.read(path.removeprefix("sweep/").removesuffix(".yaml"), {})
    for end in (0, -1):
        ends = {key: (space.choices or (space.low, space.high))[end] for key, space in search.space.items()}
        words = [f"{key}={value}" for key, value in ends.items()]
        assert configure([*search.overrides, *words]).choices["dataset"]


@pytest.mark.parametrize("path", shipped_files())
def test_it_begins_with_a_comment(path):
    lines = (config_dir() / path).read_text().splitlines()
    first = next(line for line in lines if not line.startswith("# @package"))
    assert first.startswith("# ") and len(first) > 10


@pytest.mark.parametrize("path", [path for path in files_of(*OWN_GROUPS) if base_of(path)])
def test_a_preset_changes_what_is_there_and_is_a_choice_of_its_own(path):
    assert own_content(path).keys() <= own_content(base_of(path)).keys()
    group, name = group_and_name(path)
    assert configure(overrides_for(path)).choices[group] == name


@pytest.mark.parametrize("path", pieces())
def test_it_names_all_that_its_target_takes(path):
    content = own_content(path)
    assert {*content, *nested_in(path)} - {"_target_"} == set(options_of(target(content)))


@pytest.mark.parametrize("path", pieces())
def test_no_default_is_written_twice(path):
    defaults = [
        name for name, each in options_of(target(own_content(path))).items() if each.default is not each.empty
    ]
    assert not defaults, f"{path} holds them, so the signature need not"


@pytest.mark.parametrize("path", files_of("dataset"))
def test_a_data_set_takes_what_its_file_says(path):
    """What only some data sets have, such as a folder of another name, may be left out: null."""
    content, takes, reads = data_set(path)
    assert set(content) <= {"_target_", *takes, *reads}
    assert {name for name, each in takes.items() if each.default is each.empty} <= set(content)
    assert all(takes[name].default in (None, inspect.Parameter.empty) for name in set(takes) & set(content))


@pytest.mark.parametrize("path", [path for path in files_of("dataset") if "path" in own_content(path)])
def test_a_format_shows_all_its_options_as_its_reader_has_them(path):
    content, takes, reads = data_set(path)
    assert set(content) == {"_target_", *takes, *reads}
    defaults = {
        name: None if each.default is each.empty else each.default
        for name, each in reads.items()
        if content[name] != "???" and name not in takes
    }
    assert {name: () if content[name] == [] else content[name] for name in defaults} == defaults


def data_set(path: str) -> tuple[dict, dict, dict]:
    """What its file says, what its class takes, and what its reader takes besides files."""
    content = own_content(path)
    reads = options_of(reader_named(content["reader"]), supplied={"path"}) if "reader" in content else {}
    return content, options_of(target(content), supplied={"options"}), reads


@pytest.mark.parametrize("path", files_of(*NESTED))
def test_an_optimiser_takes_what_its_file_says(path):
    content = own_content(path)
    taken = options_of(target(content)) if content["_target_"] else {}
    assert set(content) - {"_target_"} <= set(taken)


def test_the_groups_without_a_target_are_said_in_full():
    experiment = own_content("config.yaml")
    optimizers = {nested.rpartition("/")[2] for nested in NESTED}
    assert set(own_content("train/default.yaml")) | optimizers == set(Train.model_fields)
    assert set(experiment["selection"]) == set(Selection.model_fields)
    assert set(experiment["paths"]) == set(Paths.model_fields)
    assert set(experiment["outputs"]) == set(Outputs.model_fields)
    assert set(experiment) - {"hydra"} | {*GROUPS, "encoder", "choices"} == set(Config.model_fields)
    for model in (Config, Train, Selection, Paths, Outputs):
        assert all(field.is_required() for field in model.model_fields.values()), model
