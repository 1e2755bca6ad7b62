"""Which texts of an exported program are harmless where torch turns them into code."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import torch

_WORD = re.compile(r"[\w.\-]{0,1000}")
_OPERATOR = re.compile(r"torch\.ops\.(aten|prims|cnnatomy|torchvision|higher_order)\.(\w+)(\.\w+)?")
_FILES = {"from_file", "save"}
_CONTROL = {
    *("cond", "while_loop", "scan", "map_impl", "associative_scan"),
    *("wrap_with_set_grad_enabled", "wrap_with_autocast"),
}
_ARITHMETIC = re.compile(
    r"_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|abs|and_|or_|not_|eq|ne|lt|le|gt|ge|getitem)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\.sym_(float|int|ite|max|min|not|sum)|torch\._check(_is_size)?"
)
_FUNCTIONS = {
    *("Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "Abs"),
    *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "And", "Or", "Not", "Piecewise"),
    *("StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan", "ExprCondPair", "ceiling", "floor"),
    *("FloorDiv", "ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv"),
    *("FloatTrueDiv", "IntTrueDiv", "TruncToFloat", "TruncToInt", "RoundToInt", "ToFloat", "Identity"),
}
_SYMBOL, _LETTERS = re.compile(r"[a-z]+\d+"), re.compile(r"\w{1,60}|[\d.e+\-]{1,60}")
_VALUES = {"oo", "int_oo", "true", "false"}
_NODES = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name, ast.Constant),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context, ast.keyword),
)
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
_LONGEST, _MOST_POWERS, _LARGEST_POWER = 4000, 4, 16


def is_word(text: str) -> bool:
    """Whether a text is a name, of a tensor or of a place: letters, digits, dots and dashes.

    Example:
        >>> is_word("layer1.0.conv"), is_word('a"];import os')
        (True, False)
    """
    return _WORD.fullmatch(text) is not None


def is_operator(text: str) -> bool:
    """Whether a text names an operator on tensors that exists, or arithmetic on sizes.

    Example:
        >>> is_operator("torch.ops.aten.relu.default"), is_operator("torch.ops.load_library")
        (True, False)
    """
    if _ARITHMETIC.fullmatch(text):
        return True
    if (named := _OPERATOR.fullmatch(text)) is None:
        return False
    space, name, overload = named.groups()
    if space == "higher_order":
        return name in _CONTROL and overload is None
    found = getattr(getattr(getattr(torch.ops, space), name, None), (overload or ".default")[1:], None)
    if not isinstance(found, torch._ops.OpOverload) or name in _FILES:
        return False
    # Operators that TorchScript alone has, such as one that writes files, are unknown to the dispatcher.
    return bool(torch._C._dispatch_has_kernel(found._name))


def is_size(text: str) -> bool:
    """Whether a text is arithmetic on sizes, which torch gives to `eval`, and no power in it is large.

    Example:
        >>> is_size("Mul(Integer(2), Symbol('s39', positive=True))"), is_size("2*s39 + 1"), is_size("9**9**9")
        (True, True, False)
        >>> is_size("__import__('os')"), is_size("s0.__class__")
        (False, False)
    """
    if len(text) > _LONGEST:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(map(_is_arithmetic, nodes)) and sum(map(_is_power, nodes)) <= _MOST_POWERS


def is_tree(text: str) -> bool:
    """Whether a text is a tree of tuples, lists and dictionaries with words for keys, and of no other class.

    Example:
        >>> is_tree('[1, {"type": "builtins.dict", "context": "[\\\\"a\\\\"]", "children_spec": []}]')
        True
        >>> is_tree('[1, {"type": "collections.defaultdict", "context": "{}", "children_spec": []}]')
        False
    """
    if text == "":
        return True
    try:
        protocol, root = json.loads(text)
        return protocol == 1 and _is_branch(root)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _is_branch(branch: Any) -> bool:
    if branch["type"] not in _CONTAINERS or not all(map(_is_branch, branch["children_spec"])):
        return False
    keys = branch["context"]
    keys = json.loads(keys) if isinstance(keys, str) else keys
    return all(is_word(key) if isinstance(key, str) else isinstance(key, int) for key in keys or ())


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _FUNCTIONS or node.id in _VALUES or bool(_SYMBOL.fullmatch(node.id))
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return bool(_LETTERS.fullmatch(node.value))
        return isinstance(node.value, bool | int | float) and abs(node.value) < 2**64
    if _is_power(node):
        return _is_small(node.right if isinstance(node, ast.BinOp) else node.args[-1])  # type: ignore[attr-defined]
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
    return isinstance(node, _NODES) and not isinstance(node, ast.LShift | ast.RShift)


def _is_power(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "Pow" and bool(node.args)
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)


def _is_small(node: ast.AST) -> bool:
    """Whether this is a small whole number, as `2`, `-1` or `Integer(2)`."""
    if isinstance(node, ast.UnaryOp):
        return _is_small(node.operand)
    if isinstance(node, ast.Call):
        return len(node.args) == 1 and not node.keywords and _is_small(node.args[0])
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value <= _LARGEST_POWER
