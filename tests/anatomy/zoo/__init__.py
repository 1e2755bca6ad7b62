"""Networks built to their published plans in plain torch, with torchvision's names and shapes.

Nothing is downloaded. `with torch.device("meta")` builds them without weights; every function takes the
sizes that its paper varies. Where a plan ends in a classifier, the input is a batch of RGB pictures.
"""

from __future__ import annotations

from anatomy.zoo.attention import convnext_tiny, swin_t, vit_b_16
from anatomy.zoo.classics import alexnet, vgg16
from anatomy.zoo.inception import googlenet, inception_v3
from anatomy.zoo.mobile import efficientnet_b0, mobilenet_v1, mobilenet_v2
from anatomy.zoo.pixels import deeplab, unet_bilinear, unet_transposed
from anatomy.zoo.residual import densenet121, nfnet, resnet50

__all__ = [
    "alexnet",
    "convnext_tiny",
    "deeplab",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "mobilenet_v1",
    "mobilenet_v2",
    "nfnet",
    "resnet50",
    "swin_t",
    "unet_bilinear",
    "unet_transposed",
    "vgg16",
    "vit_b_16",
]
