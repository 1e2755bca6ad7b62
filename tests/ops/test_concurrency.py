"""Pooling from many threads, in forked children, in a second process, and when interrupted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from support import random, run_apart
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import cnnatomy
from cnnatomy import Sliding


def test_eight_threads_at_once() -> None:
    inputs = [random((4, 16, 56, 56), seed=seed) for seed in range(8)]
    wanted = [torch.nn.functional.max_pool2d(x, 3, 2, 1) for x in inputs]

    def work(i: int) -> bool:
        return all(
            torch.equal(cnnatomy.pool(inputs[i], "max", Sliding(3, 2, 1)), wanted[i]) for _ in range(40)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


class _Pooled(Dataset[Tensor]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        y: Tensor = cnnatomy.pool(random((1, 16, 96, 96), seed=index), "max", Sliding(3, 2, 1))
        return y


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_loader_workers_after_use_in_the_parent() -> None:
    cnnatomy.pool(random((8, 64, 56, 56)), "max", Sliding(3, 2, 1))  # the parent's threads exist now
    loader = DataLoader(_Pooled(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60)
    for i, y in enumerate(loader):
        assert torch.equal(y, torch.nn.functional.max_pool2d(random((1, 16, 96, 96), seed=i), 3, 2, 1))


def test_plain_fork_after_use_in_the_parent() -> None:
    script = """
        import os, torch, cnnatomy
        torch.set_num_threads(2)
        x = torch.randn(8, 64, 56, 56)
        y = cnnatomy.pool(x, "max", cnnatomy.Sliding(2))
        child = os.fork()
        if child == 0:  # NumPy compares: torch's own operators may not use their threads after a fork
            again = cnnatomy.pool(x, "max", cnnatomy.Sliding(2))
            os._exit(0 if (again.numpy() == y.numpy()).all() else 3)
        assert os.waitpid(child, 0)[1] == 0
    """
    run_apart(script)


def test_second_process_compiles_nothing(tmp_path: Path) -> None:
    script = """
        import torch, cnnatomy
        from cnnatomy.backends.cpu.runtime import jit
        x = torch.randn(1, 2, 8, 8, requires_grad=True)
        cnnatomy.pool(x, "max", cnnatomy.Sliding(2)).sum().backward()
        print(len(jit.compiled))
    """
    assert [run_apart(script, CNNATOMY_CACHE=str(tmp_path)) for _ in range(2)] == ["2", "0"]


def test_interrupted_threads_are_outlasted() -> None:
    script = """
        import signal, time, torch, cnnatomy
        from cnnatomy.backends.cpu.runtime import threads
        threads._openmp = lambda: None  # the pool of Python threads
        torch.set_num_threads(2)
        x = torch.randn(32, 64, 112, 112)
        wanted = cnnatomy.pool(x, "max", cnnatomy.Sliding(3, 1, 1))
        caught = 0
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        for i in range(20):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.001 * i)
                while True:
                    cnnatomy.pool(x, "max", cnnatomy.Sliding(3, 1, 1))
            except KeyboardInterrupt:
                caught += 1
            assert torch.equal(cnnatomy.pool(x, "max", cnnatomy.Sliding(3, 1, 1)), wanted)
        print(caught)
    """
    assert int(run_apart(script)) == 20
