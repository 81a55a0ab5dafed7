"""Networks of other libraries, small and with random weights, made on the spot."""

import pytest
import torch

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *sorted(("a", "cat", "sat", "on", "the", "mat", "two", "cats", "rain", "falls", "in")),
]


def small_bert(folder, **changed):
    """The folder of a small BERT with random weights."""
    transformers = pytest.importorskip("transformers")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizerFast(vocab={w: i for i, w in enumerate(WORDS)}).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.BertConfig(vocab_size=len(WORDS), **sizes | changed)
    transformers.BertModel(config).save_pretrained(folder)
    return folder
