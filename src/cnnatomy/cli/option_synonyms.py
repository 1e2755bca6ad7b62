"""What commands and options are called elsewhere, for answers to those who come from there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COMMANDS_ELSEWHERE = {
    "cnnatomy train, or cnnatomy sizes for input sizes": "fit",
    "cnnatomy evaluate": "test eval val validate score judge",
    "cnnatomy predict": "infer inference classify detect run apply",
    "cnnatomy inspect": "summary describe info show model profile anatomy",
    "cnnatomy rf": "field fields receptive-field",
    "cnnatomy networks": "models model-zoo zoo",
    "cnnatomy pools": "pool pooling poolings reducers",
    "cnnatomy compare": "study sweep benchmark tune",
}
"""By what to type, the words that other tools have for it."""

_ALIKE = {
    "--batch-size": "--batch --bs --batchsize -b",
    "--threads": "--workers --num-workers --cpus --jobs -j",
    "--device": "--gpu --gpus --cuda --accelerator",
}
_TRAIN = _ALIKE | {
    "DATA or --data DATA": "--dataset --data-path --path --input --source --train -d",
    "--run": "--out --output-dir --outdir --name --project --save --save-dir --dir --logdir -o",
    "--model": "--arch --architecture --network --net --backbone --cfg -a -m",
    "--size": "--imgsz --img --img-size --image-size --input-size --resolution --res",
    "--weights": "--weight --pretrained --checkpoint --ckpt --init",
    "--epochs": "--epoch --ep --num-epochs --n-epochs --max-epochs --num-train-epochs -e",
    "--optimizer": "--opt --optim",
    "--lr": "--lr0 --learning-rate --learningrate --base-lr --eta",
    "--weight-decay": "--wd --decay --l2",
    "--schedule": "--scheduler --lr-scheduler --sched --lrf --cos-lr",
    "--warmup": "--warmup-epochs --warmup-steps --warmup-ratio",
    "--accumulate": "--grad-accum --accumulation-steps --gradient-accumulation-steps",
    "--smoothing": "--label-smoothing",
    "--clip": "--clip-grad --grad-clip --max-norm --gradient-clip-val",
    "--ema": "--ema-decay --model-ema",
    "--augment": "--aug --augmentation --augmentations --transform --transforms --aa --auto-augment",
    "--precision": "--amp --half --fp16 --bf16 --mixed-precision",
    "--patience": "--early-stopping --early-stop",
    "--validation": "--val --val-split --validation-split --val-fraction --valid",
    "--test-fraction": "--test-size --test-split",
    "--train-fraction": "--fraction --subset",
    "--seed": "--random-seed --random-state --manual-seed",
    "--log": "--logger --wandb --tensorboard --mlflow --report-to",
    "--dry-run": "--check --plan -n",
    "--find-lr": "--lr-find --auto-lr-find --lr-finder",
    "--config": "--config-file --yaml --toml -c",
    "--class-weights": "--class-weight --weighted",
    "--resume": "--continue --resume-from",
}
_JUDGED = {"RUN, the folder, without an option": "--run --name --project --checkpoint --ckpt"}
_EVALUATE = _JUDGED | {
    "DATA or --data DATA": "--dataset --data-path --path --source --input -d",
    "--report": "--page --html --out --output -o",
    "--csv": "--save --predictions --answers",
}
_PREDICT = (
    _ALIKE
    | _JUDGED
    | {
        "PICTURE, without an option": "--source --data --input --image --images --picture --pictures --path",
        "--csv": "--output --save --save-txt -o",
        "--top": "--topk --top-k --k -k",
    }
)

_EXPLAIN = {
    "--input": "--data --numbers --x --matrix -i",
    "--kernel": "--kernel-size --size --window --pool-size -k",
    "--stride": "--strides -s",
    "--padding": "--pad -p",
    "--mode": "--padding-mode",
    "--dilation": "--dilation-rate",
    "--at": "--position --unit --index --cell",
    "--layer": "--target-layer --module",
    "--save": "--output --out --html --page -o",
}

_LOOK = _JUDGED | {
    "--data": "--dataset --data-path --path --source --input -d",
    "--picture": "--image --img -i",
    "--page": "--report --html --out --output --save -o",
    "--seed": "--random-seed --random-state --manual-seed",
}

_LAB = {
    "RUN, the folder, without an option": "--run --checkpoint --ckpt --model",
    "--port": "--server-port -p",
    "--host": "--ip --server-name --address --bind --share",
    "--no-browser": "--headless --no-open",
}


def _names(kept: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({other: own for own, others in kept.items() for other in others.split()})


TRAIN, EVALUATE, PREDICT = _names(_TRAIN), _names(_EVALUATE), _names(_PREDICT)
EXPLAIN, LOOK, LAB = _names(_EXPLAIN), _names(_LOOK), _names(_LAB)
"""What is meant here by an option of another tool: torchvision's and timm's scripts, ultralytics, Lightning,
fastai, Keras and Hugging Face's trainer."""
