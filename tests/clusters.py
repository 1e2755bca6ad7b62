"""A small Ray cluster on this machine: two processors, little memory, no dashboard."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # a machine that is busy with other tests
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(
        num_cpus=2,
        object_store_memory=100 * 2**20,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
    )
    yield ray
    begun = [one for one in gc.get_objects() if issubclass(type(one), subprocess.Popen)]
    ray.shutdown()
    for process in begun:  # Ray ends them and does not look; an end that nobody saw is a ResourceWarning
        process.wait(timeout=30)
