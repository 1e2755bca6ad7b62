"""What `torch.jit.script` is given: torch's own module in the place of one that is the same but for speed."""

from __future__ import annotations

from torch import nn

from cnnatomy.errors import ArgumentError


class Scriptable(nn.Module):
    """Comes before torch's own class among the bases, which is what a script then holds."""

    def scripts(self) -> bool:
        """True if torch's own class computes the same."""
        return True

    def __prepare_scriptable__(self) -> nn.Module:
        """torch's own module of the same settings and parameters."""
        if not self.scripts():
            what = f"torch.jit.script knows no {type(self).__name__} of these arguments"
            raise ArgumentError(what, hint="torch.export, or torch.jit.trace")
        kind = next(base for base in type(self).__mro__ if base.__module__.startswith("torch.nn.modules"))
        twin: nn.Module = object.__new__(kind)
        twin.__dict__.update(self.__dict__)
        return twin
