"""What other counters would print, by their own rules, of the operations recorded here.

One file for each tool, or for two that see the same operators. The rules are those of torchinfo 1.8,
fvcore 0.1.5, thop 0.1.1, ptflops 0.7 (backend `aten`) and `torch.utils.flop_counter` of torch 2, each run on
real tensors on the CPU, the network in evaluation mode; FlopCounterMode without gradients. The slow tests run
the tools themselves.

fvcore reads what `torch.jit.trace` writes down, a level above the operators recorded here: of functions that
torch takes apart before they are recorded (`tensordot`, `multi_dot`, `conv2d(padding="same")` as a function)
the parts are seen.
"""

from __future__ import annotations

from collections.abc import Callable

from cnnatomy.anatomy.ask.counters.dispatch import flop_counter, ptflops
from cnnatomy.anatomy.ask.counters.fvcore import fvcore
from cnnatomy.anatomy.ask.counters.seen import Part, Seen
from cnnatomy.anatomy.ask.counters.thop import thop
from cnnatomy.anatomy.ask.counters.torchinfo import torchinfo

COUNTERS: dict[str, Callable[[Seen], list[Part]]] = {
    "torchinfo": torchinfo,
    "fvcore": fvcore,
    "thop": thop,
    "ptflops": ptflops,
    "FlopCounterMode": flop_counter,
}
"""By tool: what it counts more or less than the anatomy, and why."""
