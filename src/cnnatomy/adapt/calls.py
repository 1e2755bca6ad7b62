"""Function calls in a module's own forward: found in its code, and rewritten through torch.fx."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node, Tracer

from cnnatomy.adapt.window_modules import Target, replacement
from cnnatomy.nn.modes import modes_kept

_WINDOW = ("kernel_size", "stride", "padding")
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "max_pool": (*_WINDOW, "dilation", "ceil_mode", "return_indices"),
    "avg_pool": (*_WINDOW, "ceil_mode", "count_include_pad", "divisor_override"),
    "lp_pool": ("norm_type", "kernel_size", "stride", "ceil_mode"),
    "adaptive_max_pool": ("output_size", "return_indices"),
    "adaptive_avg_pool": ("output_size",),
    "interpolate": ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"),
}
"""What each function of torch.nn.functional takes after its input, without the number of axes in its name."""


def function_of(name: str) -> str:
    """torch's function of the same operator as a module's class.

    Example:
        >>> function_of("AdaptiveAvgPool2d"), function_of("LPPool2d"), function_of("Upsample")
        ('adaptive_avg_pool2d', 'lp_pool2d', 'interpolate')
    """
    if name == "Upsample":
        return "interpolate"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace("LPP", "LpP")).lower()


def module_for(function: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> nn.Module | None:
    """torch's module that does what a call does; None if none does, or if some size comes from the input."""
    stem = re.sub(r"[123]d$", "", function)
    names = _PARAMETERS[stem]
    given = {**dict(zip(names, args, strict=False)), **{k: v for k, v in kwargs.items() if k in names}}
    more = any(value for name, value in kwargs.items() if name not in (*names, "input"))  # antialias=True
    if more or len(args) > len(names) or any(True for value in given.values() for _ in _nodes(value)):
        return None
    classes = {function_of(kind): kind for kind in dir(nn) if function_of(kind) == function}
    made: nn.Module = getattr(nn, classes[function])(**given)
    return made


def _nodes(value: Any) -> Iterator[Node]:
    leaves = torch.utils._pytree.tree_leaves(value)
    return (leaf for leaf in leaves if isinstance(leaf, Node))


def known(function: str) -> bool:
    """Whether calls of this function can be swapped."""
    return re.sub(r"[123]d$", "", function) in _PARAMETERS


def called(module: nn.Module, functions: Mapping[str, Target]) -> set[str]:
    """Which functions the code of a module's class names."""
    found: set[str] = set()
    for kind in type(module).__mro__:
        if kind is nn.Module:
            break
        for value in vars(kind).values():
            if isinstance(value, FunctionType):
                found |= _names(value.__code__)
    return found & set(functions)


def _names(code: CodeType) -> set[str]:
    inner = [_names(const) for const in code.co_consts if isinstance(const, CodeType)]
    return {*code.co_names, *code.co_freevars}.union(*inner)


class _Own(Tracer):
    """Follows a module's own forward, and none of its children's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def rewritten(
    module: nn.Module,
    functions: Mapping[str, Target],
    made: Callable[[nn.Module, Target], nn.Module] = replacement,
) -> list[tuple[str, nn.Module]] | None:
    """Let a module call submodules where its forward calls these functions; in place.

    Returns:
        For each call what stood there and what stands there; None, with nothing changed, if torch.fx cannot
        follow the forward, if it looks at `training` or draws random numbers, which a trace would fix, or if
        a call's sizes depend on its input.
    """
    found = _traced(module)
    if found is None:
        return None
    graph, constants = found
    calls = [(node, name) for node in graph.nodes if (name := _function(node)) in functions]
    before = [module_for(name, node.args[1:], node.kwargs) for node, name in calls]
    if None in before or not calls:
        return None
    changes: list[tuple[str, nn.Module]] = []
    for i, ((node, name), old) in enumerate(zip(calls, before, strict=True)):
        assert old is not None, "checked above"
        new, place = made(old, functions[name]).train(module.training), _free(module, f"{name}_{i + 1}")
        module.add_module(place, new)
        _call(graph, node, place)
        changes.append((f"F.{name}: {old}", new))
    for name, tensor in constants.items():
        module.register_buffer(name, tensor, persistent=False)
    _follow(module, graph)
    return changes


def _traced(module: nn.Module) -> tuple[Graph, dict[str, Tensor]] | None:
    """A module's own forward and the tensors that it makes of nothing, if it is the same in every mode."""
    before, drawn, graphs = set(vars(module)), _random_state(), []
    constants: dict[str, Tensor] = {}
    try:
        with modes_kept(module):
            for mode in (True, False):
                for one in module.modules():
                    one.training = mode
                try:
                    graphs.append(_Own().trace(module))
                finally:  # the trace keeps its constants here
                    constants = {name: vars(module).pop(name) for name in set(vars(module)) - before}
    except Exception:  # whatever the module's own code raises at a proxy
        return None
    draws = _random_state() != drawn
    same = str(graphs[0]) == str(graphs[1]) and all(isinstance(one, Tensor) for one in constants.values())
    return (graphs[1], constants) if same and not draws else None


def _random_state() -> tuple[object, bytes]:
    return random.getstate(), torch.get_rng_state().numpy().tobytes()


def _free(module: nn.Module, name: str) -> str:
    """The name, with as many more underscores as nothing of the module has."""
    while hasattr(module, name):
        name += "_"
    return name


def _function(node: Node) -> str:
    return getattr(node.target, "__name__", "").lstrip("_") if node.op == "call_function" else ""


def _call(graph: Graph, node: Node, place: str) -> None:
    source = node.args[0] if node.args else node.kwargs["input"]
    with graph.inserting_after(node):
        node.replace_all_uses_with(graph.call_module(place, (source,)))
    graph.erase_node(node)


def _follow(module: nn.Module, graph: Graph) -> None:
    """Give the module a class of the same name whose forward is the graph."""
    kind, forward = type(module), type(GraphModule(module, graph)).forward
    module.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
