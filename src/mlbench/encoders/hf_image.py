"""`hf_image`: a vision network of Hugging Face's, frozen, from a folder or by its name on the hub."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mlbench.data.instances import Features
from mlbench.data.raw import Images, Raw
from mlbench.encoders.networks import Located, batches, features_of, pretrained
from mlbench.encoders.pictures import pictures
from mlbench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class HFImage(Located):
    """Images are prepared by the processor that the model's folder describes."""

    pooling: Literal["pooler", "mean", "cls"]
    needs: ClassVar[tuple[str, ...]] = ("transformers", "safetensors", "PIL")

    def encode(self, rows: Raw, device: str) -> Features:
        assert isinstance(rows, Images)
        processor, network = pretrained(self.path, self.load)
        network = network.to(device).eval()

        def forward(batch: list[Any]) -> "Tensor":
            given = processor(images=batch, return_tensors="pt")["pixel_values"].to(device)
            return self.pooled(network(pixel_values=given))

        features = features_of(batches(pictures(rows, lambda image: image)), forward)
        self.width = features.shape[1]
        return features

    def pooled(self, given: Any) -> "Tensor":
        """(B, d) from the network's output: a sequence of states (B, T, d), or a map (B, d, H, W)."""
        if self.pooling == "pooler":
            if getattr(given, "pooler_output", None) is None:
                raise UserError(f"{self.path} has no pooler: use encoder.image.pooling=mean")
            return given.pooler_output.flatten(1)
        states = given.last_hidden_state
        if states.ndim == 4:
            if self.pooling == "cls":
                raise UserError(
                    f"{self.path} gives maps, which have no class token: use encoder.image.pooling=mean"
                )
            return states.mean((2, 3))
        return states.mean(1) if self.pooling == "mean" else states[:, 0]

    def load(self) -> tuple[Any, Any]:
        from transformers import AutoImageProcessor, AutoModel

        stated: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        processor = AutoImageProcessor.from_pretrained(self.folder(), backend="pil", **stated)
        return processor, AutoModel.from_pretrained(self.folder(), use_safetensors=True, **stated)
