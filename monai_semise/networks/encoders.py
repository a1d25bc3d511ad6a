# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os

import torch
from monai.networks.nets import ResNetEncoder
from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE
from torch import Tensor, nn

from monai_semise.utils import InputError, load_checkpoint

__all__ = ["SemiseResNetEncoder", "build_encoder", "load_encoder_weights", "load_imagenet_weights"]

BATCH_COUNTER = ".num_batches_tracked"
CLASSIFIER_PREFIX = "fc."
FIRST_CONVOLUTION = "conv1.weight"
NAME_PREFIX = "semise-"
SHORTCUT = "layer2.0.downsample.0.weight"


def build_encoder(backbone: str, spatial_dims: int = 2, in_channels: int = 1) -> tuple[nn.Module, int]:
    """An encoder from MONAI's registry of ``FlexibleUNet`` backbones, randomly initialized.

    Because it is the very class that ``FlexibleUNet`` builds, its weights load there key for key with equal outputs;
    those of a ResNet also load into ``monai.networks.nets.resnet50(conv1_t_stride=2, bias_downsample=False,
    feed_forward=False)``. Backbones of your own, registered with ``FLEXUNET_BACKBONE.register_class``, work too.

    MONAI's ResNet-18 and -34 encoders are not the usual ones: their shortcuts between stages have no weights
    (``shortcut_type="A"``) and pass no gradient, torchvision's weights do not fit them and TorchScript cannot compile
    them. Prefer ``"resnet10"`` or ``"resnet50"``.

    Args:
        backbone: name in the registry, such as ``"resnet50"``.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.

    Returns:
        the encoder, which maps an image to a list of feature maps, and the channels of the last one (2048 for
        ResNet-50).
    """
    registry = FLEXUNET_BACKBONE.register_dict
    if backbone not in registry:
        raise InputError(f"backbone: {backbone!r} is not one of {', '.join(sorted(registry))}")
    entry = registry[backbone]
    # a copy: MONAI keeps these arguments in a global that FlexibleUNet overwrites
    arguments = {**entry["parameter"], "spatial_dims": spatial_dims, "in_channels": in_channels, "pretrained": False}
    return entry["type"](**arguments), entry["feature_channel"][-1]


def load_encoder_weights(encoder: nn.Module, path: str | os.PathLike) -> None:
    """Load the ``encoder.pt`` that pretraining saved.

    Raises:
        InputError: naming the key and the shapes, when the file is of another architecture or channel count.
    """
    if not os.path.exists(path):
        raise InputError(
            f"encoder: {path} does not exist; run semise_pretrain first, name its encoder.pt with --encoder, "
            "or give --encoder null for random weights"
        )
    _load_strict(encoder, _read_weights(path), str(path))


def load_imagenet_weights(encoder: nn.Module, path: str | os.PathLike) -> None:
    """Load a local copy of torchvision's ImageNet weights of the same ResNet (2D).

    torchvision's keys and shapes are MONAI's; the classifier ``fc`` is left out. For an encoder with another number of
    channels than 3, the first convolution is averaged over the colours and scaled by 3 / channels, so that a grey
    image answers as its RGB copy would (for one channel: the sum).

    Args:
        encoder: MONAI ResNet encoder with ``spatial_dims=2``.
        path: torchvision's file, such as ``resnet50-11ad3fa6.pth``.

    Raises:
        InputError: when the file is missing or of another architecture. No file fits MONAI's ResNet-18 and -34 encoders
            (see :func:`build_encoder`).
    """
    state = {key: value for key, value in _read_weights(path).items() if not key.startswith(CLASSIFIER_PREFIX)}
    expected = encoder.state_dict()
    if SHORTCUT in state and SHORTCUT not in expected:
        raise InputError(
            f"{path}: holds weights of shortcuts ({SHORTCUT}), which this encoder has not: torchvision's weights "
            "do not fit MONAI's resnet18 and resnet34 encoders; use resnet50 or a deeper one"
        )
    # torchvision's older files come from before batch norm counted its batches
    state = {**{key: value for key, value in expected.items() if key.endswith(BATCH_COUNTER)}, **state}
    first, own = state.get(FIRST_CONVOLUTION), expected.get(FIRST_CONVOLUTION)
    if first is not None and own is not None and first.shape[1:] == (3, *own.shape[2:]) and own.shape[1] != 3:
        channels = own.shape[1]
        state[FIRST_CONVOLUTION] = (first.mean(dim=1, keepdim=True) * 3 / channels).repeat_interleave(channels, dim=1)
    _load_strict(encoder, state, str(path))


class SemiseResNetEncoder(ResNetEncoder):
    """``FlexibleUNet`` backbones ``semise-resnet10`` to ``semise-resnet200``, which start from a SEMISE encoder.

    ``pretrained`` is the path of the ``encoder.pt`` that pretraining saved, or False::

        FlexibleUNet(in_channels=1, out_channels=2, backbone="semise-resnet50", pretrained="runs/.../encoder.pt")

    Args:
        model_name: MONAI's name of the ResNet.
        pretrained: path of the weights; False or None starts at random.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
    """

    backbone_names = [f"{NAME_PREFIX}{name}" for name in ResNetEncoder.backbone_names]

    def __init__(
        self,
        model_name: str,
        pretrained: str | os.PathLike | bool | None = None,
        spatial_dims: int = 2,
        in_channels: int = 1,
    ) -> None:
        if pretrained is True:
            raise InputError(f"pretrained: backbone {model_name} needs the path of an encoder.pt, not True")
        super().__init__(
            model_name=model_name.removeprefix(NAME_PREFIX),
            pretrained=False,
            spatial_dims=spatial_dims,
            in_channels=in_channels,
        )
        if pretrained:
            load_encoder_weights(self, pretrained)


FLEXUNET_BACKBONE.register_class(SemiseResNetEncoder)


def _read_weights(path: str | os.PathLike) -> dict[str, Tensor]:
    state = load_checkpoint(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: not a flat dictionary of weights; give an encoder.pt, not a whole checkpoint")
    return {str(key): value for key, value in state.items()}


def _load_strict(encoder: nn.Module, state: dict[str, Tensor], source: str) -> None:
    expected = encoder.state_dict()
    for key, value in expected.items():
        if key not in state:
            raise InputError(f"{source}: no key {key}; the file is of another architecture than {_name(encoder)}")
        if state[key].shape != value.shape:
            raise InputError(
                f"{source}: {key} has shape {tuple(state[key].shape)} where {_name(encoder)} needs "
                f"{tuple(value.shape)}; the architecture, spatial_dims or in_channels differ"
            )
    surplus = sorted(set(state) - set(expected))
    if surplus:
        raise InputError(f"{source}: unknown key {surplus[0]}; the file is of another architecture")
    with torch.no_grad():
        encoder.load_state_dict(state)


def _name(encoder: nn.Module) -> str:
    return type(encoder).__name__
