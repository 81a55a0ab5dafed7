"""Decodes images, each to 8-bit RGB, several at a time; a broken one is named by its row."""

import io
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mlbench.data.raw import Images
from mlbench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

Made = TypeVar("Made")

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")  # of Pillow's, those that run no other program
PIXELS = 64_000_000  # a larger image is taken for a bomb: 8,000 × 8,000
AHEAD = 4  # images a thread that are read before they are used


def pictures(images: Images, make: Callable[["Image"], Made]) -> Iterator[Made]:
    """What `make` makes of each image, in order. Pillow decodes outside of Python's lock: threads do it."""
    threads = min(os.cpu_count() or 1, 8)

    def decoded(row: int, data: bytes) -> Made:
        try:
            return make(picture(data))
        except UserError as error:
            raise UserError(f"{images.named(row)} {error}") from None

    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for row, data in enumerate(images.contents()):
                waiting.append(pool.submit(decoded, row, data))
                if len(waiting) > AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def picture(data: bytes) -> "Image":
    """The image as one sees it: turned as EXIF says, the first frame, on white where it is transparent."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are looked at here
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > PIXELS:
                raise UserError(
                    f"is {image.width} × {image.height} pixels, more than the {PIXELS:,} that are decoded"
                )
            image.load()
            return rgb(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(f"is larger than the {PIXELS:,} pixels that are decoded") from error
    except Exception as error:  # Pillow's decoders raise whatever the bytes lead them to
        raise UserError(
            f"cannot be decoded: {str(error).splitlines()[0] if str(error) else 'damaged'}"
        ) from error


def size(data: bytes) -> int:
    """The pixels that the image says it has; 0 where it cannot be opened, which `picture` reports."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            return image.width * image.height
    except Image.DecompressionBombError:
        return PIXELS + 1
    except Exception:  # as in `picture`
        return 0


def rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey
        grey = np.clip(np.asarray(image, np.int64), 0, 65535) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UserError("holds fractions, not grey levels or colours")
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
