"""Record one forward pass of a weightless copy at the dispatcher, operator by operator."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from cnnatomy.anatomy.record.assumed_values import Answers, Assumptions, assumptions
from cnnatomy.anatomy.record.graph import Call, Graph, Value, Visit, Weight, signature
from cnnatomy.anatomy.record.known_values import Constants
from cnnatomy.anatomy.record.masks import Masks
from cnnatomy.anatomy.record.meta_kernels import answer
from cnnatomy.anatomy.record.nested import mapped, places
from cnnatomy.anatomy.record.shell import Unrunnable, class_name, listen, set_mode, shell_of, unwrapped
from cnnatomy.anatomy.record.stop_reason import reason_of
from cnnatomy.errors import ArgumentError

_META, _CPU = torch.device("meta"), torch.device("cpu")
_TO_COPY = torch.ops.aten._to_copy.default
_wrapped: Callable[[Tensor], bool] = torch._C._functorch.is_functorch_wrapped_tensor


def trace(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    training: bool = False,
    assume: Assumptions | str | None = None,
) -> Graph:
    """Run the model's shell on meta tensors and write down what it did.

    Args:
        model: any module; it is left as it is, and not run itself.
        args: what its forward is given by position; tensors may lie on any device, and are not read.
        kwargs: and by name.
        training: record a training pass, forward and backward, modules in training mode, so that the graph
            tells what is kept between the two and what the backward pass runs. Where the model cannot train
            on that input (batch norm of a single value, no targets), modules stay in evaluation mode, and a
            note says so. Without it, modules are in evaluation mode, where pictures of a batch do not mix.
        assume: answers to what the model asks of values, see `assumed.assumptions`. What depends on sizes and
            constants alone, such as a mask of the padding, is computed.

    Returns:
        The graph, up to where the pass stopped if it needed the values of a tensor: `reason` says where.

    Raises:
        ArgumentError: a layer cannot take what it is given, a lazy layer has not seen an input, or what is
            assumed is no answer.

    Example:
        >>> graph = trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), [torch.empty(1, 3, 9, 9)])
        >>> [(call.name, graph.visits[call.visit].path, call.outputs[0].shape) for call in graph.calls]
        [('aten.convolution', '0', (1, 8, 7, 7)), ('aten.relu', '1', (1, 8, 7, 7))]
    """
    record = partial(_record, unwrapped(model), tuple(args), dict(kwargs or {}), assumptions(assume))
    return _taught(record) if training else record(backward=False, train=False)


def _taught(record: Callable[..., Graph]) -> Graph:
    """A training pass; in evaluation mode where the model cannot train on that input."""
    try:
        graph = record(backward=True, train=True)
        why = graph.reason
    except ArgumentError as error:
        why = str(error)
    if why is not None:
        graph = record(backward=True, train=False)
        graph.notes += (f"the training pass ran in evaluation mode: {why}",)
    return graph


def _record(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    assumed: Mapping[str, Any],
    *,
    backward: bool,
    train: bool,
) -> Graph:
    recorder = Recorder(class_name(model), backward, assumed)
    graph = recorder.graph
    shell: nn.Module | None = None
    try:
        shell, silenced, fixed = shell_of(model)
        graph.notes = tuple(
            f"hooks of {library or 'the caller'}, not run: {count}"
            for library, count in sorted(silenced.items())
        )
        set_mode(shell, train)
        recorder.attach(shell, fixed)
        args, kwargs = tree_map_only(Tensor, recorder.bare, (args, kwargs))
        graph.inputs = recorder.named({**dict(enumerate(args)), **kwargs})
        recorder.run(shell, args, kwargs)
    except Unrunnable as error:
        graph.reason = str(error)
    except Exception as error:  # whatever the model's own code may raise
        if shell is None:
            raise
        graph.stopped = recorder.stopped(error)
        graph.reason = reason_of(error, graph, shell, bool(recorder.assumed))
    finally:
        recorder.close()
    graph.notes += recorder.assumed
    return graph


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Listens to every operator and every module of one pass."""

    def __init__(self, model: str, training: bool, assumed: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = Graph(model, {}, {}, [], [], [], {}, {}, {}, training)
        self._constants = Constants(self.graph.sizes)
        self._held = Constants(self.graph.sizes)  # those and what the model holds, which may change
        self._masks = Masks(self._held, self.graph.sizes)
        self._answers = Answers(self._constants, assumed)
        self.stack: list[int] = []
        self._into = self.graph.calls
        self._times: dict[str, int] = {}
        self._failed: tuple[BaseException, int] | None = None
        self._numbers: dict[int, int] = {}  # of the storages alive, by address
        self._watches: dict[int, weakref.ref[Any]] = {}
        self._twins: dict[int, tuple[Any, Tensor]] = {}  # for storages with data
        self._met_data = False
        self._weights: list[tuple[str, Tensor, bool]] = []
        self._fixed: dict[int, Tensor] = {}  # by the address of the storage in their place
        self._nodes: dict[int, tuple[int, int]] = {}  # by autograd node, the visit and call that it is of

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping it would import it: a second

    def attach(self, shell: nn.Module, fixed: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Follow the modules of a shell, and know its weights by name, and fixed tensors by their values."""
        self._fixed = {bare.untyped_storage()._cdata: tensor for bare, tensor in fixed}
        own: dict[bool, dict[Tensor, str]] = {True: {}, False: {}}
        for path, module in shell.named_modules():
            listen(module, self._entering(path), self._leaving)
            for parameter, held in ((True, module._parameters), (False, module._buffers)):
                for name, tensor in held.items():
                    if tensor is not None:  # one that several modules hold has its first name
                        own[parameter].setdefault(tensor, f"{path}.{name}" if path else name)
        self._weights = [
            (name, self.bare(tensor), parameter)
            for parameter, known in own.items()
            for tensor, name in known.items()
        ]

    def run(self, shell: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The forward pass, and the backward pass where one is wanted."""
        graph = self.graph
        saving = saved_tensors_hooks(self.save, lambda kept: kept) if graph.training else nullcontext()
        with torch.set_grad_enabled(graph.training), _uncompiled(), self:
            with saving:
                out = shell(*args, **kwargs)
            graph.outputs = self.named(out)
            if graph.training:
                self._into = graph.backward
                ends = [tensor for _, tensor in places(out) if tensor.requires_grad]
                torch.autograd.backward(ends, [torch.ones_like(end) for end in ends])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        fetched = func is _TO_COPY and kwargs.get("device") == _CPU
        if (kwargs.get("device") or _META) != _META:
            kwargs = {**kwargs, "device": _META, **({"pin_memory": None} if "pin_memory" in kwargs else {})}
        self._met_data = False
        inputs: list[Value] = []
        outputs: list[Value] = []

        def taken(tensor: Tensor) -> Value:
            inputs.append(self.value(tensor))
            return inputs[-1]

        def returned(tensor: Tensor) -> Value:
            outputs.append(self.value(tensor))
            return outputs[-1]

        given = mapped(args, taken), mapped(kwargs, taken) if kwargs else {}
        if self._met_data:
            args, kwargs = mapped(args, self.bare), mapped(kwargs, self.bare)
        result = self._run(func, args, kwargs, given, inputs)
        made = mapped(result, returned)
        call = Call(func, *given, made, tuple(inputs), tuple(outputs), self._visit(), signature(func))
        closed = self._masks.follow(call)
        self._into.append(call if closed is None else replace(call, closed=closed))
        self._constants.follow(call)
        self._held.follow(call)
        known = self._constants.value(outputs[0]) if fetched else None
        return result if known is None else known.clone()

    def _run(self, func: Any, args: Any, kwargs: Any, given: tuple[Any, Any], inputs: list[Value]) -> Any:
        """What an operator returns, in weightless tensors."""
        try:
            result = answer(func, args, kwargs)
            return mapped(func(*args, **kwargs), self.bare) if result is None else result
        except RuntimeError:  # it may have asked for values
            pending = Call(func, *given, None, tuple(inputs), (), 0, signature(func))
            result = self._answers.answer(pending, args, kwargs)
            if result is None:
                raise
            return result

    def _visit(self) -> int:
        if self._into is self.graph.backward:
            node = torch._C._current_autograd_node()
            return self._nodes.get(node._sequence_nr(), (0, 0))[0] if node is not None else 0
        visit = self.stack[-1] if self.stack else 0
        if self.graph.training:  # the node of this call was numbered just now, if it has one
            self._nodes.setdefault(_newest_node(), (visit, len(self.graph.calls)))
        return visit

    def bare(self, tensor: Tensor) -> Tensor:
        """The tensor itself if it is weightless; else the same view of a meta storage in place of its own."""
        if tensor.is_meta:
            return tensor
        if tensor.layout is not torch.strided or tensor.is_quantized:
            raise Unrunnable(f"a {_kind(tensor)} tensor has no weightless twin")
        storage = tensor.untyped_storage()
        with torch._C._DisableTorchDispatch(), torch.no_grad():  # what is done here is not the model's
            if storage._cdata not in self._twins:
                home = torch.empty(storage.nbytes(), dtype=torch.uint8, device=_META)
                self._twins[storage._cdata] = storage, home  # the storage too: no other may take its address
            home = self._twins[storage._cdata][1]
            view = torch.empty(0, dtype=tensor.dtype, device=_META)
            view.set_(home.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())
        return view.requires_grad_(tensor.requires_grad)

    def value(self, tensor: Tensor) -> Value:
        """What is remembered of a tensor."""
        made = None
        if not tensor.is_meta:
            self._met_data = True
            made = tensor if tensor.untyped_storage()._cdata not in self._twins else None
            tensor = self.bare(tensor)
        storage = tensor.untyped_storage()
        number = self._numbers.get(storage._cdata)
        if number is None:
            number = self._watch(storage)
        if made is not None:  # of numbers, in the pass: weights and inputs have their twins before it
            self._constants.meet(number, made)
            self._held.meet(number, made)
        offset: Any = tensor.storage_offset()
        return Value(number, tuple(tensor.shape), tensor.stride(), offset, tensor.dtype)

    def _watch(self, storage: torch.UntypedStorage) -> int:
        number, address = len(self.graph.sizes), storage._cdata
        graph, numbers, watches = self.graph, self._numbers, self._watches
        followed = self._constants, self._held, self._masks

        def gone(_: Any) -> None:
            del numbers[address], watches[number]
            for one in followed:
                one.forget(number)
            graph.freed[number] = len(graph.calls) + len(graph.backward) - 1

        numbers[address] = number
        watches[number] = weakref.ref(storage, gone)
        graph.sizes[number] = storage.nbytes()
        if address in self._fixed:
            with torch._C._DisableTorchDispatch(), torch.no_grad():  # what is done here is not the model's
                held = self._fixed[address].cpu()
            self._held.meet(number, held, int(held.storage_offset()) * held.itemsize)
        return number

    def _values(self, parts: Sequence[Any]) -> list[Value]:
        """Of every tensor of nested lists, tuples, dicts and the like."""
        if len(parts) == 1 and type(parts[0]) is Tensor and not _wrapped(parts[0]):  # as most often
            return [self.value(parts[0])]
        return [self.value(tensor) for _, tensor in places(parts)]

    def named(self, tree: Any) -> dict[str, Value]:
        """Every tensor of nested lists, tuples, dicts and the like, by its place there."""
        return {place: self.value(tensor) for place, tensor in places(tree)}

    def save(self, tensor: Tensor) -> Tensor:
        """Note that autograd keeps a tensor, and for which call: arguments before it, results after it."""
        coming = 0, len(self.graph.calls)
        self.graph.saved.setdefault(self.value(tensor).storage, self._nodes.get(_newest_node(), coming)[1])
        return tensor

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was assumed of values, for the reader."""
        return self._answers.notes()

    def stopped(self, error: BaseException) -> int | None:
        """The innermost visit that an error came out of."""
        if self._failed is not None and self._failed[0] is error:
            return self._failed[1]
        return 0 if self.graph.visits else None

    def close(self) -> None:
        """Name the weights by their storages once all is run, and stop listening."""
        for name, tensor, parameter in self._weights:
            storage = self._numbers.get(tensor.untyped_storage()._cdata)
            shape, trainable = tuple(tensor.shape), parameter and tensor.requires_grad
            self.graph.weights.append(Weight(name, storage, shape, tensor.dtype, parameter, trainable))
        self._watches.clear()

    def _entering(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            if self._into is self.graph.backward:  # a checkpoint runs again
                return
            nth = self._times[path] = self._times.get(path, 0) + 1
            parent = self.stack[-1] if self.stack else None
            given = self._values((*args, *kwargs.values()))
            start = len(self.graph.calls)
            self.stack.append(len(self.graph.visits))
            visit = Visit(path, nth, type(module).__name__, parent, given, start=start)
            visit.home, own = type(module).__module__, vars(module)
            visit.worded = isinstance(own.get("padding"), str) and own.get("padding_mode") == "zeros"
            self.graph.visits.append(visit)

        return enter

    def _leaving(self, _module: nn.Module, _args: Any, output: Any) -> None:
        if self._into is self.graph.backward:
            return
        index = self.stack.pop()
        error = sys.exc_info()[1] if output is None else None
        if error is not None:
            if self._failed is None or self._failed[0] is not error:
                self._failed = error, index
            return
        visit = self.graph.visits[index]
        visit.outputs = self._values((output,))
        visit.stop = len(self.graph.calls)


def _uncompiled() -> Any:
    """Run functions that were compiled as they were written."""
    loaded = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if loaded else nullcontext()


def _newest_node() -> int:
    return torch.autograd._get_sequence_nr() - 1  # type: ignore[attr-defined]


def _kind(tensor: Tensor) -> str:
    return "quantized" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.")
