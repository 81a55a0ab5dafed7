"""Images: a network on them as they are, a layer on their features, and the encoder, beside loops by hand."""

import copy
import importlib.util
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from mlbench.assemble import assemble
from mlbench.bench import step
from mlbench.bench.chain import SEED, run
from mlbench.bench.many import random
from mlbench.bench.step import apart
from mlbench.bench.timing import Row, compare
from mlbench.compose import configure
from mlbench.data.catalogue import described, state
from mlbench.data.instances import Features
from mlbench.data.pixels import Pixels
from mlbench.data.raw import Images
from mlbench.data.rows import Rows, order
from mlbench.data.task import Modality, Task
from mlbench.encoders import pixels
from mlbench.encoders.efficientnet_lite0 import PACKAGE, EfficientNetLite0, weights_file
from mlbench.encoders.lite0 import lite0
from mlbench.encoders.networks import all_cores, batches
from mlbench.encoders.pictures import pictures
from mlbench.methods.base import Stage
from mlbench.methods.erm import ERM
from mlbench.seeding import derive

AS_THEY_ARE = [f"backbone.augment.{name}" for name in ("crop=0", "flip=false", "jitter=0", "cutout=0")]

ENCODED = 320  # images at most that go through the encoder: ten of its batches

Batches = Callable[[Tensor], Iterable[tuple[Tensor, Tensor]]]  # of an epoch, whose order is given


def encoders(
    repeats: int = 5,
    epochs: int = 1,
    instances: int = 1400,
    size: int = 64,
    workers: int = 2,
    features: int = 4500,
) -> Iterator[Row]:
    """The network of backbone=convnet on ml2000's photographs, whole fits, from their pixels in a map, which
    were decoded before: beside a loop by hand with the pixels in memory, and beside one whose DataLoader has
    `workers` processes that decode them from JPEG. No augmentation on either side. Then a linear layer on
    `features` rows of 1,280 numbers and 374 labels, as encoder.image=efficientnet_lite0 makes of corel5k's
    images; and, where its weights are, this encoder from JPEG to features, beside its network alone.
    """
    yield linear_on_features(features, repeats)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        name, images, targets = photographs(configure([]).paths.cache, instances, folder)
        yield from network_on(images, targets, name, size, folder, epochs, repeats, workers)
        if importlib.util.find_spec(PACKAGE):
            yield encoding(images[np.arange(min(len(images), ENCODED))], name, repeats)


def linear_on_features(count: int, repeats: int) -> Row:
    """One epoch."""
    config = configure(["backbone=linear", "train.batch_size=64", "train.progress=false"])
    method, data = random(config, SEED, count, 1280, 374)
    train = data["train"]
    assert isinstance(method, ERM) and isinstance(train.x, Tensor)
    x, seeds = train.x, [derive(SEED, "order", 0)]

    def ours() -> list[Tensor]:
        fresh = copy.deepcopy(method)
        run(Stage("train", fresh, train, epochs=1), config)
        return weights(fresh)

    def by_hand() -> list[Tensor]:
        model = copy.deepcopy(method.head)
        step.train_by_hand(model, x, train.targets, config.train.batch_size, seeds)
        return weights(model)

    title = f"random, linear, {count} × 1280 × 374, batch 64"
    return compare(title, "a loop by hand", ours, by_hand, repeats, apart)


def encoding(images: Images, name: str, repeats: int) -> Row:
    """All features, decoding included, beside the network on pixels that lie ready, in the same batches."""
    encoder = EfficientNetLite0(size=224)
    ready = [torch.from_numpy(np.stack(part)) for part in batches(pictures(images, encoder.squeezed))]
    network = lite0(str(weights_file()))

    def plain() -> Tensor:
        with torch.inference_mode(), all_cores():
            return torch.cat(
                [network.features((part.permute(0, 3, 1, 2).float() - 127) / 128) for part in ready]
            )

    def difference(ours: Features, other: Tensor) -> dict[str, float]:
        return {"largest_difference": float(abs(np.asarray(ours) - other.numpy()).max())}

    def ours() -> Features:
        return encoder.encode(images, "cpu")

    row = compare(f"{name}, {len(images)} encoded", "its network alone", ours, plain, repeats, difference)
    return replace(row, notes=row.notes | {"throughput": sum(row.other) / sum(row.ours)})


def network_on(
    images: Images,
    targets: Tensor,
    name: str,
    size: int,
    folder: Path,
    epochs: int,
    repeats: int,
    workers: int,
) -> Iterator[Row]:
    network = ("dataset=ml2000", "backbone=convnet", f"encoder.image.size={size}", *AS_THEY_ARE)
    config = configure([*network, "train.progress=false"])
    held = pixels.once(folder / "images.npy", pixels.Pixels(size=size, square="crop"), images)
    rows = Rows(Pixels(held, torch.arange(len(held))), targets, torch.arange(len(images)))
    method = method_of(assemble(config).method, rows)
    in_memory = torch.from_numpy(np.array(held))
    files = Decoded([*images.contents()], targets, size)
    batch = config.train.batch_size

    def ours() -> list[Tensor]:
        fresh = copy.deepcopy(method)
        run(Stage("train", fresh, rows, epochs=epochs), config)
        return weights(fresh)

    def by_hand(batches: Batches) -> Callable[[], list[Tensor]]:
        def act() -> list[Tensor]:
            fresh = copy.deepcopy(method)
            train_by_hand(nn.Sequential(fresh.backbone, fresh.head), batches, len(rows), epochs)
            return weights(fresh)

        return act

    def selected(visits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for part in visits.split(batch):
            yield in_memory[part].float() / 255, targets[part]

    def loaded(visits: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        return DataLoader(Subset(files, visits.tolist()), batch, num_workers=workers)

    title = f"{name}, {len(rows)} × 3 × {size} × {size}, batch {batch}"
    others: dict[str, Batches] = {"a loop by hand": selected, "a DataLoader of JPEG": loaded}
    for against, batched in others.items():
        row = compare(title, against, ours, by_hand(batched), repeats, apart)
        yield replace(row, notes=row.notes | {"times_faster": sum(row.other) / sum(row.ours)})


def photographs(cache: Path, count: int, folder: Path) -> tuple[str, Images, Tensor]:
    """Those of ml2000 where it is here, else random ones of the same shape."""
    if state(dict(described())["ml2000"], cache) == "here":
        instances = assemble(configure(["dataset=ml2000"])).dataset.load(cache).instances
        images = instances.raw["image"]
        assert isinstance(images, Images)
        some = np.arange(min(count, len(instances)))
        return "ml2000", images[some], torch.from_numpy(instances.targets[some]).float()
    from PIL import Image

    rng = np.random.default_rng(SEED)
    names = tuple(f"{number}.jpg" for number in range(count))
    for name in names:
        colours = rng.integers(0, 256, (8, 12, 3), np.uint8)
        Image.fromarray(colours).resize((192, 128)).save(folder / name)
    return "random", Images(folder, names, names), torch.from_numpy(rng.random((count, 5)) < 0.25).float()


def method_of(build: Callable[[Task], nn.Module], rows: Rows) -> ERM:
    _, *shape = rows.x.shape
    labels = tuple(map(str, range(rows.targets.shape[1])))
    positives = tuple(map(int, rows.targets.sum(0)))
    task = Task(
        "bench", labels, (Modality("image", 0, 1),), len(rows), positives, kind="image", shape=tuple(shape)
    )
    torch.manual_seed(SEED)
    method = build(task)
    assert isinstance(method, ERM), "this suite measures no other"
    return method


class Decoded(Dataset):
    """As a tutorial has it: an image is decoded when it is asked for."""

    def __init__(self, contents: list[bytes], targets: Tensor, size: int):
        self.contents, self.targets, self.size = contents, targets, size

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        from PIL import Image, ImageOps

        image = Image.open(io.BytesIO(self.contents[row])).convert("RGB")
        image = ImageOps.fit(image, (self.size, self.size), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255, self.targets[row]


def train_by_hand(model: nn.Module, batches: Batches, count: int, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    for epoch in range(epochs):
        for x, y in batches(order(count, SEED, epoch)):
            loss = F.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()


def weights(method: nn.Module) -> list[Tensor]:
    return [each.detach().clone() for each in method.parameters()]
