"""Trained runs on columns, texts and images, and servers of them in threads of this process."""

import contextlib
import http.client
import json
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlbench.compose import configure
from mlbench.experiment import run
from mlbench.predict import Ensemble, Trained
from mlbench.serve.server import Server
from pictures import encoded, pixels, tarred

LABELS = "dataset.labels=[rain,snow]"
WORDS = ("calm", "breeze", "storm")


@dataclass
class Made:
    folder: Path
    weather: pd.DataFrame  # the last ten rows are the test part
    drawings: list[dict]  # rows of text and names of images
    pictures: dict[str, bytes]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("served"), np.random.default_rng(0)
    weather = pd.DataFrame(
        {
            "wet": rng.normal(size=60).round(4),
            "cold": rng.normal(size=60).round(4) * 100,
            "wind": [WORDS[number % 3] for number in range(60)],
            "side": rng.choice(["lee", "luv"], 60),
        }
    )
    weather["rain"] = (weather.wet > 0).astype(int)
    weather["snow"] = ((weather.cold > 0) & (weather.wind != "calm")).astype(int)
    weather[:50].to_csv(folder / "train.csv", index=False)
    weather[50:].to_csv(folder / "test.csv", index=False)
    drawings, pictures = [], {}
    for number in range(40):
        labels = [name for name, every in (("rain", 2), ("snow", 3)) if number % every == 0]
        pictures[f"{number}.png"] = encoded(pixels(seed=number % 3) // (1 + number % 2))
        drawings.append({"title": f"of {' and '.join(labels)}", "file": f"{number}.png", "tags": labels})
    tarred(folder / "images.tar", pictures)
    (folder / "drawings.jsonl").write_text("\n".join(map(json.dumps, drawings)))
    return Made(folder, weather, drawings, pictures)


@pytest.fixture(scope="session")
def trained(made):
    """trained("seed=1") is the folder of a run on the weather; trained("text") on texts, and so on."""
    folder = made.folder
    columns = ["dataset=csv", f"dataset.path={folder}/train.csv", f"dataset.test={folder}/test.csv", LABELS]
    columns += ["split=official", "dataset.scaling=zscore", "train.epochs=20"]
    drawn = ["dataset=jsonl", f"dataset.path={folder}/drawings.jsonl", "dataset.labels=tags"]
    text, image = "dataset.text=title", ["dataset.image=file", f"dataset.images={folder}/images.tar"]
    kinds = {"text": [*drawn, text], "image": [*drawn, *image], "both": [*drawn, text, *image]}
    common = [f"paths.outputs={folder}/outputs", f"paths.cache={folder}/cache", "train.progress=false"]
    common += ["train.optimizer.lr=0.05"]
    known = {}

    def train(*words):
        if words not in known:
            kind = kinds[words[0]] if words and words[0] in kinds else [*columns, *words]
            _, record = run(configure([*kind, *common]))
            known[words] = record.parent
        return known[words]

    return train


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Client:
    server: Server

    @property
    def port(self):
        return self.server.server_address[1]

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def post(self, content, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", "/predict", body, Content_Type="application/json", **headers)

    def predict(self, **content):
        answered = self.post(content)
        assert answered.status == 200, answered.body
        return answered.json


@pytest.fixture(scope="session")
def serving(trained):
    """serving(("seed=1",), ("seed=2",)) is a client of a server of two runs; a run may be a path, too."""
    clients = {}

    def serve(*runs):
        if runs not in clients:
            of = [Trained.of_run(run if isinstance(run, Path) else trained(*run)) for run in runs or ((),)]
            server = Server(Ensemble.of(of), "127.0.0.1", 0, ("f1_macro", "hamming_loss"))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            clients[runs] = Client(server)
        return clients[runs]

    yield serve
    for client in clients.values():
        client.server.shutdown()
        client.server.server_close()
