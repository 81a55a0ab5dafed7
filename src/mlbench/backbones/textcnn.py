"""TextCNN (Kim, EMNLP 2014) on texts as they are."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mlbench.backbones.base import Rate
from mlbench.backbones.texts import OfWords
from mlbench.data.task import Task
from mlbench.encoders.cnn import Count, Maps, Share
from mlbench.encoders.cnn import TextCNN as Network


class TextCNN(OfWords):
    def __init__(
        self,
        task: Task,
        embedding: Count,
        vectors: Path | None,
        vectors_fixed: bool,
        windows: Annotated[list[Count], Field(min_length=1)],
        maps: Count,
        dropout: Share,
        rate: Rate,
    ):
        super().__init__(rate)
        seen = Maps(task.vocabulary, embedding, vectors, vectors_fixed, windows, maps)
        self.network, self.width = Network(seen, dropout), len(windows) * maps
