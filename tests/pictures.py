"""Small image files of every kind that a folder may hold, made on the spot."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image


def pixels(height=12, width=20, seed=0):
    """A smooth picture, which JPEG hardly changes: (height, width, 3) uint8."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    shift = seed * 20
    return np.stack([200 * x + shift, 200 * y, 100 + 0 * x], axis=-1).astype(np.uint8)


def encoded(image, form="PNG", **options):
    """The bytes of an image file."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, form, **options)
    return file.getvalue()


def tarred(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def foldered(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path
