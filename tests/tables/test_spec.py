"""Table files: those that are shipped fit the numbers they name; a wrong one is one sentence."""

import itertools
from collections import Counter

import pytest

from mlbench.compose import GROUPS, choices, configure
from mlbench.errors import UserError
from mlbench.evaluation.suite import METRICS, without_rule
from mlbench.tables import spec
from mlbench.tables.measured import FACTS
from mlbench.tables.published import published, statistics

READ = {name: spec.read(name) for name in spec.names()}
OF_RESULTS = [name for name, table in READ.items() if isinstance(table, spec.Results)]
OF_DATASETS = [name for name, table in READ.items() if isinstance(table, spec.Statistics)]
AXES = ("dataset", "setting", "method", "metric")


def printed_places(table):
    """Where the paper has cells, by the table's axes. Mean ranks are none."""
    settled = "setting" in table.axes
    return {
        (cell.dataset, cell.setting if settled else "", cell.method, cell.metric): cell
        for cell in published(table.published)
        if "all" not in (cell.dataset, cell.metric)
    }


def says_why(table, place):
    """Whether a note speaks of what is not in the paper."""
    notes = [*table.notes, *(measured.note or "" for measured in table.metrics.values())]
    values = [table.axes[axis][name] for axis, name in zip(AXES, place) if axis in table.axes]
    return any(value.not_run for value in values) or any(
        name in note for name in place if name for note in notes
    )


def test_the_papers_tables_are_there():
    assert {"ant/1", "ant/2", "ant/3", "flem/1", "m3la/1", "mulsupcon_ld/1"} <= set(READ)
    assert {"sigmoid_f1/2", "sigmoid_f1/8"} <= set(OF_DATASETS)
    assert {f"sigmoid_f1/{number}" for number in ("3", "4", "6", "7a", "7b")} <= set(OF_RESULTS)
    assert {f"flem/{number}" for number in (2, 3, 4, 5, "vector")} <= set(OF_RESULTS)
    assert {f"m3la/{name}" for name in (2, 3, "standins", "standins-clean")} <= set(OF_RESULTS)


@pytest.mark.parametrize("name", OF_RESULTS)
def test_every_published_cell_has_a_place_and_every_place_its_cell(name):
    table = READ[name]
    if table.published is None:
        pytest.skip("nothing is published to compare with")
    printed = printed_places(table)
    places = set(itertools.product(*map(table.names, AXES)))
    assert set(printed) <= places
    assert not [place for place in places - set(printed) if not says_why(table, place)]
    digits = Counter(cell.decimals for cell in printed.values() if cell.mean is not None)
    assert table.decimals == digits.most_common(1)[0][0]
    assert (table.printed_ranks is None) == all(cell.rank is None for cell in published(table.published))
    shares = [cell.mean or 0 for cell in printed.values() if cell.metric not in {*FACTS, "coverage"}]
    percent = max(shares, default=0) > 1
    assert table.scale == (100 if percent else 1)


@pytest.mark.parametrize("name", OF_RESULTS)
def test_its_metrics_are_ours(name):
    ours = {without_rule(measured.ours) for measured in READ[name].metrics.values()}
    assert ours <= {*METRICS, *FACTS}


@pytest.mark.parametrize("name", OF_RESULTS)
def test_every_choice_it_names_is_shipped(name):
    """Of a group; what else the overrides say is known only where it is composed."""
    table = READ[name]
    values = [value for axis in table.axes.values() for value in axis.values()]
    words = [said for value in values for said in (value.overrides, *value.where.values())]
    for override in itertools.chain(table.overrides, *words):
        key, _, choice = override.partition("=")
        assert choice and (key not in GROUPS or choice in choices(key)), override


def commands_on_emotions():
    """As few as say all that any table says, but for choices alone, each of which is shipped: `loss=bce`."""
    said_before, choices_alone = set(), {*GROUPS} - {"method"}
    for name in OF_RESULTS:
        table = READ[name]
        for place in itertools.product(*map(table.names, spec.GRID)):
            if any(value.not_run == "method" for value in table.values(place)):
                continue
            words = [word for word in table.overrides_at(place) if not word.startswith("dataset=")]
            new = {word for word in words if word.partition("=")[0] not in choices_alone} - said_before
            if new:
                said_before |= new
                yield pytest.param(words, id=f"{name} {' '.join(place)}")


@pytest.mark.parametrize("words", list(commands_on_emotions()))
def test_what_it_says_is_accepted_on_a_data_set_that_is_here(words):
    """Also where the data are not to be had: a cell that says so must be able to run once they are."""
    config = configure(["dataset=emotions", *words])
    for word in words:
        key, _, value = word.partition("=")
        assert key not in GROUPS or config.choices[key] == value


def test_a_cell_without_data_says_so_and_what_could_be_run_all_the_same():
    table = READ["sigmoid_f1/3"]
    assert {value.not_run for value in table.axes["dataset"].values()} == {"data"}
    for dataset, loss in (("voc2007", "sigmoid_f1_image"), ("arxiv2020", "sigmoid_f1_text")):
        words = table.overrides_at((dataset, "", "sigmoid_f1"))
        assert [word for word in words if word.startswith("loss=")] == [f"loss={loss}"]
        cut = {"voc2007": 0.5, "arxiv2020": 0.05}[dataset]
        assert f"threshold.value={cut}" in words


def test_a_table_of_other_cuts_has_the_very_runs_of_its_base():
    """One training, cut by several rules: what differs is which metrics are shown."""
    base, clean = READ["m3la/standins"], READ["m3la/standins-clean"]
    for place in itertools.product(*map(base.names, spec.GRID)):
        assert clean.overrides_at(place) == base.overrides_at(place)
    assert clean.seeds == base.seeds == 10 and clean.metrics.keys() == base.metrics.keys()
    other = {name for name in base.metrics if clean.metrics[name].ours != base.metrics[name].ours}
    assert other == {name for name in base.metrics if METRICS[name].needs == "label_sets"}


def test_the_losses_on_frozen_encoders_are_those_on_vectors():
    """Seventeen losses under two heads on five data sets, five seeds; each data set says its encoders."""
    deep, vector = READ["losses/deep"], READ["losses/vector"]
    assert deep.names("method") == vector.names("method") and deep.overrides == vector.overrides
    places = [*itertools.product(*map(deep.names, spec.GRID))]
    assert len(places) * deep.seeds == 5 * 2 * 17 * 5
    for dataset, value in deep.axes["dataset"].items():
        said = configure([*value.overrides, "backbone=linear", "loss=asl"])
        fields = {field for field in ("text", "image") if said.dataset.get(field)}
        chosen = {field: said.choices[f"encoder/{field}"] for field in fields}
        frozen = {"text": "minilm", "image": "efficientnet_lite0"}
        assert chosen and chosen == {field: frozen[field] for field in fields}, dataset


def test_m3las_ml2000_is_run_on_three_modalities_and_the_head_says_so():
    for name in ("m3la/2", "m3la/3"):
        table = READ[name]
        assert table.axes["dataset"]["ml2000"].not_run is None
        assert "encoder/image=classical" in table.axes["dataset"]["ml2000"].overrides
        assert "not its files" in " ".join(table.notes)


@pytest.mark.parametrize("name", OF_DATASETS)
def test_every_data_set_of_the_paper_is_named(name):
    assert set(READ[name].datasets) == set(statistics(READ[name].published))


# Wrong files

RIGHT = {
    "title": "a table",
    "axes": {"dataset": ["scene", "yeast"], "method": {"bl": None, "ant": ["method=ant"]}},
    "metrics": {"f1_micro": {"ours": "f1_micro"}},
    "seeds": 2,
    "layout": {"rows": "method", "columns": "dataset"},
    "decimals": 3,
}


def changed(**how):
    """`axes__setting=x` puts x under axes, setting; None takes out."""
    content = {key: dict(value) if isinstance(value, dict) else value for key, value in RIGHT.items()}
    for path, value in how.items():
        *parents, key = path.split("__")
        node = content[parents[0]] if parents else content
        node[key] = value
        if value is None:
            del node[key]
    return content


def test_a_right_one():
    table = spec.checked(RIGHT, "paper/1")
    assert table.axes["dataset"]["scene"].overrides == ("dataset=scene",)
    assert table.axes["method"]["bl"].overrides == () and table.axes["method"]["ant"].overrides == (
        "method=ant",
    )
    assert (
        table.names("setting") == [""] and table.names(None) == [""] and table.names("metric") == ["f1_micro"]
    )
    assert table.rule == "last" and table.scale == 1.0


def test_what_a_table_of_ones_own_need_not_say():
    short = changed(layout=None, decimals=None, metrics=["f1_micro", "ap_macro"])
    long = changed(
        layout={"blocks": "dataset", "rows": "method", "columns": "metric"},
        decimals=4,
        metrics={"f1_micro": {"ours": "f1_micro"}, "ap_macro": {"ours": "ap_macro"}},
    )
    assert spec.checked(short, "mine.yaml") == spec.checked(long, "mine.yaml")
    named = changed(metrics={"Macro F1": "f1_macro"})
    assert spec.checked(named, "mine.yaml").metrics["Macro F1"].ours == "f1_macro"


def test_what_is_said_where_stands_in_the_place_of_the_rest():
    loss = {"overrides": ["loss=asl", "loss.clip=0"], "where": {"yeast": ["loss=focal"]}}
    table = spec.checked(changed(axes__method={"it": loss}, overrides=["train.epochs=2"]), "paper/1")
    assert table.overrides_at(("scene", "", "it")) == [
        "dataset=scene",
        "loss=asl",
        "loss.clip=0",
        "train.epochs=2",
    ]
    assert table.overrides_at(("yeast", "", "it")) == ["dataset=yeast", "loss=focal", "train.epochs=2"]


def test_the_points_of_a_grid_are_all_values_of_its_options_the_last_varying_first():
    k, w = {"method.k": [1, 2]}, {"method.w": [0.5, None]}
    table = spec.checked(
        changed(axes__method={"it": {"choose": k}}, axes__dataset={"scene": {"choose": w}}), "paper/1"
    )
    points = [["method.w=0.5", "method.k=1"], ["method.w=0.5", "method.k=2"]]
    points += [["method.w=null", "method.k=1"], ["method.w=null", "method.k=2"]]
    assert table.points(("scene", "", "it")) == points
    assert spec.checked(RIGHT, "paper/1").points(("scene", "", "ant")) == [[]]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"colour": "red"}, "colour: "),
        ({"title": None}, "title: "),
        ({"axes__colour": ["red"]}, "axes.colour"),
        ({"axes__method": None}, "axes needs dataset and method"),
        ({"axes__method": "ant"}, "axes.method: "),
        ({"axes__method": {"ant": {"override": []}}}, "axes.method.ant.override: "),
        ({"axes__method": {"ant": {"where": {"scnee": []}}}}, "data set; did you mean scene?"),
        ({"axes__method": {"ant": {"choose": {"loss": ["bce"]}}}}, "axes.method.ant.choose.loss"),
        ({"axes__method": {"ant": {"choose": {"method.k": []}}}}, "axes.method.ant.choose.method.k: "),
        (
            {"axes__method": {"ant": {"overrides": ["method.k=1"], "choose": {"method.k": [1, 2]}}}},
            "choose.method.k: overrides give it a value, too; leave one of them out",
        ),
        ({"layout__rows": "colour"}, "layout.rows: "),
        ({"layout__rows": "dataset"}, "layout names an axis twice"),
        ({"layout__blocks": "method"}, "layout names an axis twice"),
        ({"axes__setting": {"a": [], "b": []}}, "no place for the 2 values of setting"),
        ({"metrics__f1_macro": {"ours": "f1_macro"}}, "no place for the 2 values of metric"),
        ({"metrics__f1_micro": 3}, "metrics.f1_micro: "),
        ({"seeds": 0}, "seeds: "),
        ({"rule": "first"}, "'last', 'best' or 'oracle'"),
        ({"decimals": -1}, "decimals: "),
        ({"datasets": {"scene": None}}, "published: "),
    ],
)
def test_a_wrong_one_is_one_sentence(how, words):
    with pytest.raises(UserError) as error:
        spec.checked(changed(**how), "paper/1")
    assert words in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith("conf/table/paper/1.yaml: ")


@pytest.mark.parametrize(
    ("table", "datasets", "words"),
    [
        ("ant/table1", {"scnee": None}, "datasets.scnee is not printed there; did you mean scene?"),
        ("ant/table1", {"scene": "scnee"}, "datasets.scene=scnee: no such data set; did you mean scene?"),
        (
            "m3la/table1",
            {"fcvid": None, "msra": None},
            "leaves out ml2000, taobao; one that is not here is null",
        ),
        ("ant/table11", {}, "published: ant/table11: no such table of numbers; did you mean ant/table1?"),
        ("ant/table2", {}, "published: ant/table2 has no column statistic; it has dataset, setting, method"),
    ],
)
def test_a_wrong_table_of_data_sets_is_one_sentence(table, datasets, words):
    with pytest.raises(UserError) as error:
        spec.checked({"title": "a table", "published": table, "datasets": datasets}, "paper/1")
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_table_of_results_is_none_of_data_sets():
    with pytest.raises(UserError, match="ant/table1 has no column mean; it has dataset, statistic, value"):
        published("ant/table1")


@pytest.mark.parametrize(("name", "near"), [("ant/22", "ant/2"), ("amt/3", "ant/3"), ("FLEM/1", "flem/1")])
def test_an_unknown_table(name, near):
    with pytest.raises(UserError) as error:
        spec.read(name)
    assert f"table={name}: no such table; there are: ant/1, ant/2" in str(error.value)
    assert str(error.value).endswith(f"; did you mean {near}?") and "\n" not in str(error.value)


# A table over another one


def test_a_table_says_only_what_it_has_other_than_its_base():
    two, three = spec.read("flem/2"), spec.read("flem/3")
    differing = {key for key, value in two.model_dump().items() if three.model_dump()[key] != value}
    assert differing == {"title", "published", "metrics"} and list(three.metrics) == ["ranking_loss"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """own(a="base: ant/2") writes tables into a folder, from which they are read."""
    monkeypatch.chdir(tmp_path)

    def own(**tables):
        for name, text in tables.items():
            (tmp_path / f"{name}.yaml").write_text(text)

    return own


def test_axes_are_taken_over_axis_by_axis_and_null_takes_out(own):
    own(
        few="{base: ant/2, title: Few, published: null, axes: {dataset: [scene]}, notes: null, seeds: 2}",
        fewer="{base: few.yaml, title: Fewer, seeds: 1}",
    )
    above, few, fewer = (spec.read(name) for name in ("ant/2", "few.yaml", "fewer.yaml"))
    assert above.published and few.published is None and list(few.axes["dataset"]) == ["scene"]
    assert few.axes["method"] == above.axes["method"] and few.metrics == above.metrics
    assert (fewer.title, fewer.seeds, fewer.axes) == ("Fewer", 1, few.axes)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"a": "base: ant/22"}, "a.yaml: base=ant/22: no such table; there are: ant/1, "),
        ({"a": "base: b.yaml"}, "a.yaml: base=b.yaml: there is no such file"),
        ({"a": "base: a.yaml"}, "a.yaml: base=a.yaml: a table cannot be its own base: a.yaml → a.yaml"),
        (
            {"a": "base: b.yaml", "b": "base: ./x/../a.yaml"},
            "b.yaml: base=a.yaml: a table cannot be its own base: a.yaml → b.yaml → a.yaml",
        ),
        ({"a": "base: [ant/2]"}, "a.yaml: base=['ant/2']: write the name of one table, ant/2 or mine.yaml"),
        ({"a": "{base: ant/2, colour: red}"}, "a.yaml: colour: no such key"),
        ({"a": "{base: ant/2, axes: [scene]}"}, "a.yaml: axes: "),
    ],
)
def test_a_wrong_base_is_one_sentence(tables, words, own):
    own(**tables)
    with pytest.raises(UserError) as error:
        spec.read("a.yaml")
    assert str(error.value).startswith(words) and "\n" not in str(error.value)
