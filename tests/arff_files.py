"""ARFF files of a few lines, and what is read of them."""

from scipy import sparse

from mlbench.data.formats import arff


def arff_file(folder, text, name="data.arff"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_last(path, labels=1, **options):
    """The last columns are labels."""

    def last(header):
        return list(range(len(header.attributes)))[len(header.attributes) - labels :]

    return arff.read(path, last, **options)


def read_text(folder, text, labels=1, **options):
    return read_last(arff_file(folder, text), labels, **options)


def dense(instances):
    features = instances.features
    return features.toarray() if sparse.issparse(features) else features


PLAIN = """@relation plain
@attribute width numeric
@attribute height numeric
@attribute tall {0,1}
@data
"""


COLOURS = """@relation colours
@attribute colour {red,green,blue}
@attribute tall {0,1}
@data
"""
