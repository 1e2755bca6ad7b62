"""The classic networks in notation, each with its paper; nothing here needs torch.

What papers leave to the training is said where it is part of the network: dropout stands where it acts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Classic:
    """One network: what it is, in a line or two of notation."""

    name: str
    summary: str
    notation: str
    input_shape: tuple[int, int, int]
    parameters: int
    """Trainable parameters, for the classes of the notation."""
    reference: str


_ILSVRC = (3, 224, 224)
_FC = "FC-4096 dropout FC-4096 dropout FC-1000 soft-max"
_VGG = "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition (2014)"
_RESNET = "He et al., Deep residual learning for image recognition (2015), table 1"


def _vgg(*stages: str) -> str:
    return " ".join(f"{stage} maxpool" for stage in stages) + f" {_FC}"


def _columns(letter: str) -> tuple[str, ...]:
    """Column B, with more in the last three stages for C (1x1), D (3x3) and E (3x3 twice)."""
    more = {"B": "", "C": " conv1-{0}", "D": " conv3-{0}", "E": " conv3-{0} conv3-{0}"}[letter]
    deep = tuple(f"conv3-{n} conv3-{n}{more.format(n)}" for n in (256, 512, 512))
    return ("conv3-64 conv3-64", "conv3-128 conv3-128", *deep)


def _resnet(counts: tuple[int, int, int, int], bottleneck: bool = False) -> str:
    """The stem, four stages whose first block (but the first) halves the maps, and the classifier."""
    stages = []
    for number, count in enumerate(counts):
        n, wide = 64 * 2**number, 256 * 2**number if bottleneck else 64 * 2**number
        down = " s2" if number else ""
        middle = f" conv3-{n}{{0}} bn"
        body = f"conv1-{n} bn{middle} conv1-{wide} bn" if bottleneck else f"conv3-{n}{{0}} bn conv3-{n} bn"
        short = f" | conv1-{wide}{down} bn" if number or bottleneck else ""
        first, rest = body.format(f"{down} p1" if down else ""), f"res({body.format('')})"
        more = count - bool(short)
        stages.append((f"res({first}{short}) " if short else "") + rest + (f"*{more}" if more > 1 else ""))
    return f"conv7-64 s2 p3 bn maxpool3s2 p1 {' '.join(stages)} globalavg FC-1000 soft-max"


_INCEPTIONS = (
    *((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), ()),
    *((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64)),
    *((112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), ()),
    *((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""Table 1 of the paper: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection; and the poolings between."""


def _googlenet(norm: str = "", wide: int = 5, last_pool: str = "maxpool3s2 ceil") -> str:
    def inception(a: int, b: int, c: int, d: int, e: int, f: int) -> str:
        return (
            f"cat(conv1-{a}{norm}, conv1-{b}{norm} conv3-{c}{norm}, conv1-{d}{norm} conv{wide}-{e}{norm}, "
            f"maxpool3s1 p1 conv1-{f}{norm})"
        )

    pools = iter(("maxpool3s2 ceil", last_pool))
    body = " ".join(inception(*row) if row else next(pools) for row in _INCEPTIONS)
    lrn = "" if norm else " LRN"
    return (
        f"conv7-64 s2 p3{norm} maxpool3s2 ceil{lrn} conv1-64{norm} conv3-192{norm}{lrn} maxpool3s2 ceil "
        f"{body} globalavg dropout(p={0.2 if norm else 0.4}) FC-1000 soft-max"
    )


def _segnet() -> str:
    depths = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
    down = [f"[conv3-{n} bn]*{count} maxpool:{tie}" for (count, n), tie in zip(depths, "abcde", strict=True)]
    up = []
    for number in range(4, 0, -1):
        (count, n), after = depths[number], depths[number - 1][1]
        up.append(f"unpool:{'abcde'[number]} [conv3-{n} bn]*{count - 1} conv3-{after} bn")
    return " ".join([*down, *up, "unpool:a conv3-64 bn conv3-classes soft-max with classes=12"])


def _unet() -> str:
    widths = (64, 128, 256, 512)
    down = [f"conv3-{n} valid conv3-{n}:{tie} valid maxpool" for n, tie in zip(widths, "abcd", strict=True)]
    up = [
        f"convT2-{n} s2 skip:{tie} crop conv3-{n} valid conv3-{n} valid"
        for n, tie in zip(reversed(widths), "dcba", strict=True)
    ]
    return " ".join(
        [*down, "conv3-1024 valid conv3-1024 valid", *up, "conv1-classes soft-max with classes=2"]
    )


CLASSICS: tuple[Classic, ...] = (
    Classic(
        "alexnet",
        "AlexNet as published, in two groups",
        "conv11-96 s4 valid LRN maxpool3s2 conv5-256 g2 LRN maxpool3s2 conv3-384 conv3-384 g2 "
        f"conv3-256 g2 maxpool3s2 {_FC}",
        (3, 227, 227),
        60_965_224,
        "Krizhevsky et al., ImageNet classification with deep convolutional neural networks (2012)",
    ),
    Classic(
        "alexnet-owt",
        "AlexNet in one tower, as in torchvision",
        "conv11-64 s4 p2 maxpool3s2 conv5-192 maxpool3s2 conv3-384 conv3-256 conv3-256 maxpool3s2 "
        "adaptiveavg6 dropout FC-4096 dropout FC-4096 FC-1000 soft-max",
        _ILSVRC,
        61_100_840,
        "Krizhevsky, One weird trick for parallelizing convolutional neural networks (2014)",
    ),
    Classic(
        "vgg11",
        "VGG, column A",
        _vgg("conv3-64", "conv3-128", "conv3-256 conv3-256", "conv3-512 conv3-512", "conv3-512 conv3-512"),
        _ILSVRC,
        132_863_336,
        _VGG,
    ),
    Classic(
        "vgg11-lrn",
        "VGG, column A-LRN",
        _vgg(
            "conv3-64 LRN", "conv3-128", "conv3-256 conv3-256", "conv3-512 conv3-512", "conv3-512 conv3-512"
        ),
        _ILSVRC,
        132_863_336,
        _VGG,
    ),
    Classic("vgg13", "VGG, column B", _vgg(*_columns("B")), _ILSVRC, 133_047_848, _VGG),
    Classic(
        "vgg16-c", "VGG, column C, with 1x1 convolutions", _vgg(*_columns("C")), _ILSVRC, 133_638_952, _VGG
    ),
    Classic("vgg16", "VGG, column D", _vgg(*_columns("D")), _ILSVRC, 138_357_544, _VGG),
    Classic("vgg19", "VGG, column E", _vgg(*_columns("E")), _ILSVRC, 143_667_240, _VGG),
    Classic(
        "nin",
        "network in network, for CIFAR-10",
        "conv5-192 conv1-160 conv1-96 maxpool3s2 ceil dropout conv5-192 conv1-192 conv1-192 avgpool3s2 ceil "
        "dropout conv3-192 conv1-192 conv1-10 globalavg soft-max",
        (3, 32, 32),
        966_986,
        "Lin, Chen and Yan, Network in network (2013)",
    ),
    Classic(
        "allconv",
        "All-CNN-C: strides in place of pooling",
        "dropout(p=0.2) conv3-96*2 conv3-96 s2 dropout conv3-192*2 conv3-192 s2 dropout conv3-192 conv1-192 "
        "conv1-10 globalavg soft-max",
        (3, 32, 32),
        1_369_738,
        "Springenberg et al., Striving for simplicity: the all convolutional net (2014), table 1",
    ),
    Classic(
        "googlenet",
        "GoogLeNet as published, without its auxiliary classifiers",
        _googlenet(),
        _ILSVRC,
        6_998_552,
        "Szegedy et al., Going deeper with convolutions (2014), table 1",
    ),
    Classic(
        "googlenet-bn",
        "GoogLeNet with batch normalisation and 3x3 for 5x5, as in torchvision",
        _googlenet(" bn(eps=0.001)", 3, "maxpool2 ceil"),
        _ILSVRC,
        6_624_904,
        "Ioffe and Szegedy, Batch normalization (2015), after Szegedy et al. (2014)",
    ),
    Classic("resnet18", "ResNet with 18 layers", _resnet((2, 2, 2, 2)), _ILSVRC, 11_689_512, _RESNET),
    Classic("resnet34", "ResNet with 34 layers", _resnet((3, 4, 6, 3)), _ILSVRC, 21_797_672, _RESNET),
    Classic(
        "resnet50",
        "ResNet with 50 layers, stride in the 3x3",
        _resnet((3, 4, 6, 3), bottleneck=True),
        _ILSVRC,
        25_557_032,
        _RESNET,
    ),
    Classic(
        "segnet",
        "SegNet: VGG-16's convolutions there and back, unpooling by the winners",
        _segnet(),
        (3, 360, 480),
        29_441_996,
        "Badrinarayanan, Kendall and Cipolla, SegNet (2015)",
    ),
    Classic(
        "unet",
        "U-Net as published, without padding",
        _unet(),
        (1, 572, 572),
        31_030_658,
        "Ronneberger, Fischer and Brox, U-Net (2015)",
    ),
    Classic(
        "dense-9m",
        "fully connected, 9 million parameters",
        "FC-2048 FC-1024 FC-512 FC-10 soft-max",
        (3, 32, 32),
        8_921_610,
        "a baseline of courses: what a network without convolutions makes of CIFAR-10",
    ),
    Classic(
        "cnn-2m",
        "a plain ConvNet, 2 million parameters",
        "[[conv relu]*N pool]*M FC-208 FC-10 soft-max with N=2 M=2 maps=64,128",
        (3, 32, 32),
        1_966_394,
        "a baseline of courses: what convolutions make of CIFAR-10",
    ),
    Classic(
        "small32",
        "a small modern net for pictures of 32x32",
        "conv3-32 bn res(conv3-32 bn conv3-32 bn) maxpool conv3-64 bn res(conv3-64 bn conv3-64 bn) maxpool "
        "conv3-128 bn res(conv3-128 bn conv3-128 bn) globalavg FC-10 soft-max",
        (3, 32, 32),
        482_730,
        "after He et al. (2015), section 4.2, with poolings",
    ),
    Classic(
        "autoencoder32",
        "an encoder-decoder for pictures of 32x32: unpooling by the winners",
        "conv3-16 maxpool:a conv3-32 maxpool:b conv3-32 unpool:b conv3-16 unpool:a conv3-channels",
        (3, 32, 32),
        19_395,
        "after Badrinarayanan, Kendall and Cipolla, SegNet (2015)",
    ),
)
