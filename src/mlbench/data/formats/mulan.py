"""Mulan: an ARFF file, and an XML file that names its labels."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from mlbench.data.files import content
from mlbench.data.formats import arff
from mlbench.data.instances import Instances
from mlbench.errors import UserError, did_you_mean


def read(path: Path, xml: Path, missing: str = "refuse", drop: Sequence[str | int] = ()) -> Instances:
    """Labels may stand anywhere among the columns, and keep the columns' order, not that of the XML."""
    return arff.read(path, lambda header: label_columns(path, xml, header), missing, drop)


def label_columns(path: Path, xml: Path, header: arff.Header) -> list[int]:
    names = [attribute.name for attribute in header.attributes]
    count = Counter(names)
    wanted = label_names(xml)
    for name in wanted:
        if count[name] != 1:
            number = f"{count[name]} attributes" if count[name] else "no attribute"
            near = "" if count[name] else did_you_mean(name, names)
            raise UserError(f"{path} has {number} named {name!r}, a label of {xml}{near}")
    return [column for column, name in enumerate(names) if name in wanted]


def label_names(xml: Path) -> set[str]:
    """The names of all <label> elements, also of nested ones, whatever the namespace."""
    try:
        root = ElementTree.fromstring(content(xml))
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: a wrong encoding
        raise UserError(f"{xml} is no XML file of labels: {error}") from error
    elements = (element for element in root.iter() if element.tag.rpartition("}")[2].lower() == "label")
    count = Counter(name for element in elements if (name := element.get("name")) is not None)
    if not count:
        raise UserError(f'{xml} names no labels: they are written <label name="..."></label>')
    name, times = count.most_common(1)[0]
    if times > 1:
        raise UserError(f"{xml} names the label {name!r} {times} times: each must have a name of its own")
    return set(count)
