"""ultralytics' yolov8n-cls from scratch at 64 pixels, its own settings otherwise.

By default it takes the test folder for validation where there is no other, and keeps the weights of the epoch
that did best on it. Here it looks at no picture of it during training, and the last weights are judged.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(Path.cwd())}

from ultralytics import YOLO, settings
from ultralytics.utils import torch_utils

from benchmarks.training_peers.peer import Answer, Job, main

EPOCHS, SIDE = 8, 64


def run(job: Job) -> Answer:
    """Train without plots, workers and looks at the test pictures."""
    settings.update({"sync": False})
    torch_utils.NUM_THREADS = 1
    shared = {"data": str(job.folder), "imgsz": SIDE, "workers": 0, "plots": False, "device": "cpu"}
    yolo = YOLO("yolov8n-cls.yaml")
    yolo.train(**shared, epochs=job.epochs, seed=job.seed, val=False, project=str(Path.cwd()), name="run")
    judged = YOLO(Path(yolo.trainer.last)).val(**shared, split="test", project=str(Path.cwd()))
    return Answer(float(judged.top1), f"yolov8n-cls, {SIDE} px, {job.epochs} epochs")


if __name__ == "__main__":
    main(run, EPOCHS, "ultralytics", "torch")
