"""Small files of every format, and what may become of them on their way, by a number: always the same."""

import bz2
import gzip
import io
import lzma
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import scipy.io
from scipy import sparse

from mlbench.data import cache
from mlbench.data.formats import csv, hub, jsonl, libsvm, matlab, meka, mulan, npz
from mlbench.data.instances import Instances
from mlbench.errors import UserError

FEATURES = np.array([[0.5, 0, 2], [0, 0, -3], [1.25, 7, 0], [0, 1, 0]])
TARGETS = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])


@dataclass(frozen=True)
class Sample:
    """A file that can be read. What is damaged is `inside`, which `outside` makes the file of."""

    name: str
    inside: bytes
    read: Callable[[Path], Instances]
    outside: Callable[[bytes, Random], bytes] = lambda inside, random: inside
    beside: tuple[str, bytes] | None = None  # a second file, which is damaged as often


def compressed(inside: bytes, random: Random) -> bytes:
    packers = [lambda data: gzip.compress(data, mtime=0), bz2.compress, lzma.compress]
    return random.choice(packers)(inside)


def archive(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def members(damaged: bytes, random: Random) -> bytes:
    """An archive as `damaged` lists it: a name and its bytes, whole in themselves."""
    file, compression = io.BytesIO(), random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(file, "w") as whole:
        for part in damaged.split(BETWEEN):
            name, _, content = part.partition(b"\n")
            entry = zipfile.ZipInfo(name[:1000].decode("latin-1").replace("\0", ".") or "nameless")
            whole.writestr(entry, content, compression)
    return file.getvalue()


BETWEEN = b"\n--between--\n"


def listed(whole: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        return BETWEEN.join(name.encode() + b"\n" + file.read(name) for name in file.namelist())


def csr(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    matrix = sparse.csr_matrix(matrix)
    return {
        f"{name}_data": matrix.data,
        f"{name}_indices": matrix.indices,
        f"{name}_indptr": matrix.indptr,
        f"{name}_shape": np.array(matrix.shape),
    }


def mat(form: str = "5", **variables: np.ndarray) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, variables, format=form)
    whole = file.getvalue()
    return whole if form == "4" else b"MATLAB 5.0 MAT-file".ljust(116) + whole[116:]  # without the time


def variables_compressed(inside: bytes, random: Random | None = None) -> bytes:
    """A MATLAB file v5 with each of its variables compressed, as v7 has them."""
    parts, place = [inside[:128]], 128
    while place + 8 <= len(inside):
        (length,) = struct.unpack_from("<I", inside, place + 4)
        packed = zlib.compress(inside[place : place + 8 + length])
        parts.append(struct.pack("<II", 15, len(packed)) + packed)
        place += 8 + length
    return b"".join(parts)


VIEWS = np.empty((1, 2), dtype=object)
VIEWS[0, :] = FEATURES.astype(np.float32), FEATURES[:, :2].astype(np.int8)
SPARSE_VIEWS = np.empty((1, 2), dtype=object)
SPARSE_VIEWS[0, :] = sparse.csc_matrix(FEATURES), FEATURES
ARCHIVE = archive(
    features=FEATURES, targets=TARGETS, labels=["sea", "sky"], modalities=[["l", "0", "1"], ["r", "1", "3"]]
)
SPARSE_ARCHIVE = archive(**csr("features", FEATURES), **csr("targets", TARGETS))
DENSE_MAT = mat(view=VIEWS, label=TARGETS.astype(np.uint8))
SPARSE_MAT = mat(view=SPARSE_VIEWS, label=sparse.csc_matrix(TARGETS.astype(float)))
OLD_MAT = mat("4", view=FEATURES, label=TARGETS)
OLD_SPARSE_MAT = mat("4", view=sparse.csc_matrix(FEATURES), label=sparse.csc_matrix(TARGETS.astype(float)))

DENSE_ARFF = b"""% weather
@relation 'weather: -C 2'
@attribute rain {0,1}
@attribute 'a \\'storm\\'' {NO,YES}
@attribute wind numeric
@attribute sky {blue,'half grey',"black"}
@data
1,NO,0.5,blue
0,YES,-3,'half grey'
1,YES,1.25e0,black % a comment
0,NO,7,blue
"""
NUMBERS_ARFF = b"""@relation 'numbers: -C -1'
@attribute wind numeric
@attribute sun real
@attribute rain {0,1}
@data
0.5,2,1
-3,0,0
1.25e0,4,1
"""
SPARSE_ARFF = b"""@relation 'words: -C 2'
@attribute rain {0,1}
@attribute storm {0,1}
@attribute wind numeric
@attribute sky {blue,grey,black}
@data
{0 1,2 0.5}
{1 1,2 -3,3 grey}
{}
{0 1,1 1,3 black}
"""
SPARSE_NUMBERS_ARFF = re.sub(rb",3 \w+", b"", SPARSE_ARFF)
XML = b"""<?xml version="1.0" encoding="utf-8"?>
<labels xmlns="http://mulan.sourceforge.net/labels">
<label name="rain"></label><label name="%s"></label></labels>
"""
STORM = XML % b"a 'storm'", XML % b"storm"
LISTS = b"""wind,tags,sky
0.5,a;b,blue
-3,"[""a"", ""c""]",grey
1.25,,blue
7,b,grey
"""
TABLE = b"""humidity,"wind, mean",sky,rain,storm
0.91,1002,blue,1,1
0.34,?,grey,0,0
.78e0,1008,blue,1,0
1,7,"dark
grey",0,1
"""
LINES = b"""0,2 1:0.5 3:2
1 3:-3
 1:1.25 2:7 # a comment
0,1,2 2:1
"""
OBJECTS = b"""{"id": "a", "t": "It r\\u0061ins.", "labels": ["rain", "sun"], "part": "train", "file": "1.png"}
{"id": 2, "t": ["Sun", "and", "sn\xc3\xb6w"], "labels": [], "part": "test", "file": "2.png"}

{"id": null, "t": null, "labels": [["rain"], ["sun"]], "part": "dev", "file": "../3.png"}
"""
SIZED_LINES = b"4 5 3\n" + LINES.replace(b" # a comment", b"")


def of_csv(**options: str | list[str]) -> Callable[[Path], Instances]:
    return lambda path: csv.read(path, missing="mean", **options)


def of_mulan(path: Path) -> Instances:
    return mulan.read(path, path.with_name("set.xml"))


def of_cache(path: Path) -> Instances:
    found = cache.load(path)
    if found is None:
        raise UserError(f"{path} is made again")
    return found


def of_jsonl(path: Path) -> Instances:
    return jsonl.read(path, text="t", image="file", id="id", split="part", group=["part", "file"])


def of_hub(path: Path) -> Instances:
    found = hub.read(path, text="t", image="i", id="id", split="part")
    for _ in found.raw["image"].contents():
        pass
    return found


def table_of(kind: str) -> bytes:
    image = [{"bytes": bytes(range(90)), "path": "a.png"}] * 4
    columns = {
        "t": ["one", "two", "three", ""],
        "i": image,
        "id": [*"abcd"],
        "labels": [["x"], [], ["y", "x"], ["y"]],
    }
    made = pa.table(columns | {"part": ["train", "test", "dev", "train"]})
    file = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(made, file, row_group_size=2)
        return file.getvalue()
    with (pa.ipc.new_file if kind == "file" else pa.ipc.new_stream)(file, made.schema) as writer:
        writer.write_table(made, max_chunksize=2)
    return file.getvalue()


def kept(is_sparse: bool) -> bytes:
    features = sparse.csr_matrix(FEATURES, dtype=np.float32) if is_sparse else FEATURES.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kept.npz"
        cache.save(path, Instances(features, TARGETS.astype(np.uint8), ("a", "b"), ("x", "y", "z")))
        return path.read_bytes()


SAMPLES = {
    "arff": Sample("set.arff", DENSE_ARFF, meka.read),
    "arff numbers": Sample("set.arff", NUMBERS_ARFF, meka.read),
    "arff sparse": Sample("set.arff", SPARSE_ARFF, meka.read),
    "arff sparse numbers": Sample("set.arff", SPARSE_NUMBERS_ARFF, meka.read, compressed),
    "arff packed": Sample("set.arff.gz", DENSE_ARFF, meka.read, compressed),
    "mulan": Sample("set.arff", DENSE_ARFF, of_mulan, beside=("set.xml", STORM[0])),
    "mulan sparse": Sample("set.arff", SPARSE_ARFF, of_mulan, beside=("set.xml", STORM[1])),
    "csv": Sample("set.csv", TABLE, of_csv(labels=["rain", "storm"])),
    "csv packed": Sample("set.csv.xz", TABLE, of_csv(labels=["rain", "storm"]), compressed),
    "csv lists": Sample("set.csv", LISTS, of_csv(label_list="tags")),
    "libsvm": Sample("set.txt", LINES, libsvm.read),
    "libsvm sized": Sample("set.txt", SIZED_LINES, libsvm.read),
    "libsvm packed": Sample("set.txt", LINES, libsvm.read, compressed),
    "jsonl": Sample("set.jsonl", OBJECTS, of_jsonl),
    "jsonl packed": Sample("set.jsonl.gz", OBJECTS, of_jsonl, compressed),
    "parquet": Sample("set.parquet", table_of("parquet"), of_hub),
    "arrow file": Sample("set.arrow", table_of("file"), of_hub),
    "arrow stream": Sample("set.arrow", table_of("stream"), of_hub),
    "npz": Sample("set.npz", ARCHIVE, npz.read),
    "npz members": Sample("set.npz", listed(ARCHIVE), npz.read, members),
    "npz sparse": Sample("set.npz", listed(SPARSE_ARCHIVE), npz.read, members),
    "cache": Sample("set.npz", kept(False), of_cache),
    "cache sparse": Sample("set.npz", kept(True), of_cache),
    "matlab": Sample("set.mat", DENSE_MAT, matlab.read),
    "matlab sparse": Sample("set.mat", SPARSE_MAT, matlab.read),
    "matlab packed": Sample("set.mat", DENSE_MAT, matlab.read, variables_compressed),
    "matlab sparse packed": Sample("set.mat", SPARSE_MAT, matlab.read, variables_compressed),
    "matlab 4": Sample("set.mat", OLD_MAT, matlab.read),
    "matlab 4 sparse": Sample("set.mat", OLD_SPARSE_MAT, matlab.read),
}


def lay(sample: Sample, folder: Path, random: Random | None = None) -> Path:
    """The files of a sample in a folder: whole, or damaged. Its path."""
    contents = {sample.name: sample.inside, **dict([sample.beside] if sample.beside else [])}
    if random:
        name = random.choice(list(contents))
        for _ in range(random.choice([1, 1, 1, 2, 3, 6])):
            contents[name] = random.choice(DAMAGES)(contents[name], random)
    contents[sample.name] = sample.outside(contents[sample.name], random or Random(0))
    if random and random.random() < 0.05:
        contents[sample.name] = random.choice(DAMAGES)(contents[sample.name], random)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder / sample.name


# What happens to bytes


def flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 8]) if data else 0):
        changed[random.randrange(len(data))] = random.randrange(256)
    return bytes(changed)


def cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def left_out(data: bytes, random: Random) -> bytes:
    start, stop = span(data, random)
    return data[:start] + data[stop:]


def repeated(data: bytes, random: Random) -> bytes:
    start, stop = span(data, random)
    return data[:stop] + data[start:stop] * random.choice([1, 1, 2, 50]) + data[stop:]


def spliced(data: bytes, random: Random) -> bytes:
    """Its beginning, and the end of another."""
    other = random.choice([sample.inside for sample in SAMPLES.values()])
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def blown_up(data: bytes, random: Random) -> bytes:
    """Another number or word where digits stood."""
    places = [found.span() for found in re.finditer(rb"[-+.\deE]*\d[-+.\deE]*", data)]
    start, stop = random.choice(places or [(0, 0)])
    return data[:start] + random.choice(NUMBERS) + data[stop:]


def put_in(data: bytes, random: Random) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + random.choice(STRANGE) + data[place:]


def put_over(data: bytes, random: Random) -> bytes:
    """A binary number over another one."""
    number = struct.pack(random.choice("<>") + random.choice("iq"), random.choice(INTEGERS))
    step = random.choice([1, 4, 4, 8])
    place = random.randrange(len(data) // step + 1) * step
    return data[:place] + number + data[place + len(number) :]


def span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice([1, 4, 16, 100, 1000]))


NUMBERS = [
    *(b"9" * 5000, b"-1", b"0", b"1e400", b"-1e39", b"nan", b"inf", b"1_0", b"0x10", b"1.5", b"2147483647"),
    *(b"2147483648", b"4294967296", b"9223372036854775807", b"9223372036854775808", b"1000000000", b"1e9"),
    *(b"99999999999999999999999", b"1000000", b"", b"?", b"-0", "²".encode(), "٣".encode(), b"1e-400"),
]
STRANGE = [
    *(b"\0", b"\r", b"\n", b"\n\n", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xa0", b"\xff", b" " * 3000),
    *("\u00a0".encode(), "\u2028".encode(), "\u3000".encode(), b"\xef\xbb\xbf", b"\xff\xfe", b"'", b'"'),
    *(b"\\", b"%", b"{", b"}", b",", b":", b";", b"#", b"|", b"?", b"[", b"(" * 3000, b"[" * 300, b"-"),
    *(b"@data", b"@attribute x {a}", b"@attribute y string", b"-C", b"&x;", b"<!--", b'encoding="utf-7"'),
    *(b'<?xml version="1.0" encoding="klingon"?>', b"\\'" * 2000, b"'" * 2001, b"a" * 100000, b"," * 5000),
]
INTEGERS = [0, 1, 2, 3, 5, 7, 8, 9, 14, 15, 16, -1, -2, 127, 255, 65535, 2**24, 2**30, 2**31 - 1, -(2**31)]
DAMAGES = [flipped, cut, left_out, repeated, spliced, blown_up, blown_up, put_in, put_in, put_over, put_over]
