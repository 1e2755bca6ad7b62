"""Modules with every reducer: printed, copied, pickled, stored, loaded, and trained by several processes."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from support import examples, inputs_for, label

import cnnatomy
import cnnatomy.nn as nn
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Sliding

every_reducer = pytest.mark.parametrize("what", examples(), ids=label)


def made(what: Reducer) -> tuple[Any, Any, dict[str, Any]]:
    """A module whose parameters have moved, its x, and what else it is given."""
    module = nn.Pool2d(what, 3, 2, 1).eval()
    x, *beside = inputs_for(what, (2, 3, 7, 6))
    with torch.no_grad():
        for parameter, moved in zip(module.parameters(), beside[len(what.companions) :], strict=True):
            parameter.copy_(moved)
    return module, x, dict(zip(what.companions, beside, strict=False))


@every_reducer
def test_a_module_is_the_function(what: Reducer) -> None:
    module, x, beside = made(what)
    learned = {name: parameter.detach() for name, parameter in module.named_parameters()}
    assert list(learned) == list(what.learns)
    y = cnnatomy.pool(x, what, Sliding(3, 2, 1), **learned, **beside)
    assert torch.equal(module(x, **beside), y)
    assert str(what) in repr(module)
    assert torch.equal(copy.deepcopy(module)(x, **beside), y)
    assert torch.equal(pickle.loads(pickle.dumps(module))(x, **beside), y)


@every_reducer
def test_state_goes_through_a_file(what: Reducer) -> None:
    module, x, beside = made(what)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = nn.Pool2d(what, 3, 2, 1).eval()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x, **beside), module(x, **beside))
    assert len(module.state_dict()) == len(what.learns)


@every_reducer
def test_parameters_and_inputs_get_gradients(what: Reducer) -> None:
    module, x, beside = made(what)
    inputs = [tensor.requires_grad_() for tensor in (x, *beside.values())]
    module.train()(x, **beside).square().sum().backward()
    for tensor in (*inputs, *module.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.any()
        assert tensor.grad.isfinite().all()


TRAINED = """
    import sys, torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel
    sys.path.insert(0, {tests!r})
    from support import examples, inputs_for, random
    import cnnatomy.nn as nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(2, 3, 3, bias=False)
            self.pools = nn.ModuleList(nn.Pool2d(what, 3, 2, 1) for what in whats)

        def forward(self, x):
            x, total = self.first(x).exp(), 0
            for pool in self.pools:
                total = total + pool(x, **dict.fromkeys(pool.reducer.companions, x)).square().mean((1, 2, 3))
            return total

    def gradients(net, x):
        net(x).mean().backward()
        return [parameter.grad for parameter in net.parameters()]

    rank, whats = int(sys.argv[1]), examples()[int(sys.argv[3]) :: 12]
    dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
    torch.manual_seed(0)
    net = Net().eval()
    x = random((4, 2, 9, 8))
    if rank == 0:  # which compiles the kernels for both
        wanted = [grad.clone() for grad in gradients(net, x)]
    dist.barrier()
    if rank == 1:
        wanted = [grad.clone() for grad in gradients(net, x)]
    net.zero_grad()
    found = gradients(DistributedDataParallel(net), x[2 * rank : 2 * rank + 2])
    torch.testing.assert_close(found, wanted)
    assert len(found) == 1 + sum(len(what.learns) for what in whats)
    dist.destroy_process_group()
"""


@pytest.mark.costly(1)
@pytest.mark.parametrize("part", range(12))
def test_two_processes_train_as_one(part: int, tmp_path: Path) -> None:
    """Each process has half of a batch; their mean gradient is that of the whole, with every reducer."""
    script = textwrap.dedent(TRAINED).format(tests=str(Path(__file__).parents[1]))
    meeting = str(tmp_path / "meeting")
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script, str(rank), meeting, str(part)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [worker.communicate(timeout=240)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
