"""A task and data of a few columns."""

import torch

from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task


def small_task(labels, features=5):
    names = tuple(f"label {number}" for number in range(labels))
    return Task("small", names, (Modality("features", 0, features),), 20, (5,) * labels)


def small_data(labels, rows=40, features=5):
    targets = (torch.rand(rows, labels) < 0.4).float()
    return Rows(torch.randn(rows, features), targets, torch.arange(rows))


def smaller(config, seed, outputs, cache, steps=20):
    """Whatever the method: its first steps on multidigits, about so many, and before them two epochs of what
    comes first; of a method over scikit-learn's classifiers a few trees, which draw random numbers and take
    moments.
    """
    batch = 1600 // steps
    method, backbone, train = config.method, config.backbone, {"epochs": 1, "batch_size": batch}
    if "teachers" in method:
        teachers = {"epochs": 2, "batch_size": 2400 // steps, "hidden": [6, 8]}
        method, train = (
            method | {"teachers": method["teachers"] | teachers},
            {**train, "batch_size": 600 // steps},
        )
    if "pretrain" in method:
        short = {"epochs": 2, "batch_size": batch, "queue": 2 * batch}
        method = method | {"pretrain": method["pretrain"] | short}
    if "recovery" in method:
        recovery, short = method["recovery"], {"warm_up": 2, "epochs": 2, "hidden": 8}
        short = {name: value for name, value in short.items() if name in recovery}
        method = method | {"recovery": recovery | short}
    if "residuals" in method:
        method = method | {"residuals": method["residuals"] | {"epochs": 2, "hidden": 8}}
    # Of networks with millions of weights: nothing that is asked of them depends on how many there are.
    wide = {name for name in ("width", "hidden", "embedding") if isinstance(method.get(name), int)}
    method = method | {name: 16 for name in wide if method[name] > 250}
    if "base" in method:
        tree = {"base": "sklearn.tree.DecisionTreeClassifier", "options": {"max_depth": 2, "max_features": 5}}
        method = method | tree | ({"chains": 3} if "chains" in method else {})
    sizes = {"hidden": 5, "widths": [8]}
    changes = {
        "method": method,
        "backbone": backbone | {name: size for name, size in sizes.items() if name in backbone},
        "train": config.train.model_copy(update=train | {"progress": False}),
        "paths": config.paths.model_copy(update={"outputs": outputs, "cache": cache}),
        "seed": seed,
    }
    return config.model_copy(update=changes)
