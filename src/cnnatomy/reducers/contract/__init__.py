"""What a pooling is: its plain-torch definition, and the scalar functions that fast backends are made from.

A reducer is written once, in scalar form, as plain Python expressions on `Lane` values. A backend traces them
over vectors of its own kind, so a reducer knows nothing of layouts, paddings, strides or threads. There are
three kinds:

- a `Fold` reads each tap once. It is a monoid, so a window is folded down its rows, then across its columns;
- a `Scan` reads its taps several times, in order: ranks, and draws by weight;
- a blend has no kernel of its own: it is made of other poolings (`blended` is true).

`FastPath` holds what only makes a pooling faster, and `Learned` says which parameters are learned.
"""

from __future__ import annotations

from cnnatomy.reducers.contract.fast_forms import FastFold, FastPath, FastPull, TorchOperator
from cnnatomy.reducers.contract.fold import Fold
from cnnatomy.reducers.contract.folding import Folding
from cnnatomy.reducers.contract.lanes import BEYOND, NO_TAP, Field, Lane, Mask, State
from cnnatomy.reducers.contract.learned import Learned
from cnnatomy.reducers.contract.reducer import Line, Output, Pooling, Reducer, Windows
from cnnatomy.reducers.contract.scan import Scan, Step, Tap, Taps

__all__ = [
    "BEYOND",
    "NO_TAP",
    "FastFold",
    "FastPath",
    "FastPull",
    "Field",
    "Fold",
    "Folding",
    "Lane",
    "Learned",
    "Line",
    "Mask",
    "Output",
    "Pooling",
    "Reducer",
    "Scan",
    "State",
    "Step",
    "Tap",
    "Taps",
    "TorchOperator",
    "Windows",
]
