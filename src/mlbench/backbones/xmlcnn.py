"""XML-CNN (Liu et al., SIGIR 2017) on texts as they are."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mlbench.backbones.base import Rate
from mlbench.backbones.texts import OfWords
from mlbench.data.task import Task
from mlbench.encoders.cnn import XMLCNN as Network
from mlbench.encoders.cnn import Count, Maps, Share


class XMLCNN(OfWords):
    def __init__(
        self,
        task: Task,
        embedding: Count,
        vectors: Path | None,
        vectors_fixed: bool,
        windows: Annotated[list[Count], Field(min_length=1)],
        maps: Count,
        pools: Count,
        width: Count,
        dropout: Share,
        rate: Rate,
    ):
        super().__init__(rate)
        seen = Maps(task.vocabulary, embedding, vectors, vectors_fixed, windows, maps)
        self.network, self.width = Network(seen, len(windows) * maps, pools, width, dropout), width
