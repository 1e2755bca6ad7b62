"""Results computed anew from a record's numbers alone, with Python's own arithmetic."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

Record = dict[str, Any]


def call_of(text: str) -> tuple[str, dict[str, Any]]:
    """The name and arguments of a call such as `Soft(temperature=1.0)`."""
    call = ast.parse(text.replace("inf", "1e999"), mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Name)
    return call.func.id, {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}


def span(record: Record, o: int) -> range:
    return range(*record["taps"]["ptr"][o : o + 2])


def column(record: Record, name: str, o: int) -> list[float]:
    return [float(record["taps"][name][k]) for k in span(record, o)]


def outputs(record: Record) -> list[float | None]:
    """Every output from its taps; None where this arithmetic has no word on infinities."""
    family = record["operator"]["family"]
    compute = {"pool": pooled, "subsample": subsampled, "normalize": normalized, "measure": measured}.get(
        family, summed
    )
    return [compute(record, o) for o in range(len(record["tensors"]["y"]["values"]))]


def summed(record: Record, o: int) -> float | None:
    if "factor" not in record["taps"]:
        return None
    values, factors = column(record, "value", o), column(record, "factor", o)
    bias = float(record["steps"]["bias"][o]) if "bias" in record["steps"] else 0.0
    if not all(map(math.isfinite, [*values, *factors, bias])):
        return sum((a * b for a, b in zip(values, factors, strict=True)), bias)
    exact = sum((Fraction(a) * Fraction(b) for a, b in zip(values, factors, strict=True)), Fraction(bias))
    return float(exact)


def subsampled(record: Record, o: int) -> float:
    learned = record["learned"]
    total = learned["weight"]["value"] * math.fsum(column(record, "value", o)) + learned["bias"]["value"]
    return float(total)


def measured(record: Record, o: int) -> float:
    pairs = zip(column(record, "value", o), column(record, "code", o), strict=True)
    return math.fsum((x - code) ** 2 for x, code in pairs)


def normalized(record: Record, o: int) -> float | None:
    if any(map(math.isinf, column(record, "value", o))):
        return None
    params = record["operator"]["params"]
    total = math.fsum(x * x for x in column(record, "value", o)) * params["alpha"] / params["size"]
    return float(float(record["steps"]["own"][o]) / (params["k"] + total) ** params["beta"])


def pooled(record: Record, o: int) -> float | None:
    """One output of a pooling, by a formula of its own."""
    name, params = call_of(record["operator"]["params"]["reducer"])
    params |= {key: one["value"] for key, one in record.get("learned", {}).items()}
    if name == "Covariance" or params.get("each"):
        return None  # moments are held to NumPy, and places of their own to `Kth`, in other tests
    x = column(record, "value", o)
    n = float(record["steps"]["n"][o]) if "n" in record["steps"] else float(len(x))
    extra = {"n": n, "record": record, "o": o, **params}
    if record["taps"]["grid"][o] < 0:
        return 0.0
    if any(map(math.isnan, x)):
        return math.nan
    if any(map(math.isinf, x)) and name not in _INFINITE:
        return None
    return _FORMULAS[name](x, extra)


_INFINITE = ("Max", "Min", "Median", "Kth", "Quantile")


def _empty(x: Sequence[float], of: Callable[[Sequence[float]], float], otherwise: float) -> float:
    return of(x) if x else otherwise


def _rank(x: Sequence[float], r: int) -> float:
    return sorted(x)[min(max(r, 0), len(x) - 1)] if x else math.nan


def _divided(a: float, b: float) -> float:
    return a / b if b else math.nan


def _power(bases: Sequence[float], p: float, how: str, n: float) -> float:
    if p == math.inf:
        top = max(bases, default=math.nan if how == "mean" else 0.0)
        return _divided(top, n) if how == "size" else top
    total = math.fsum(b**p for b in bases)
    if how == "mean":
        return _divided(total, n) ** (1 / p) if n else math.nan
    return _divided(total ** (1 / p), n) if how == "size" else total ** (1 / p)


def _weighted(x: Sequence[float], weights: Sequence[float]) -> float:
    return _divided(math.fsum(w * v for w, v in zip(weights, x, strict=True)), math.fsum(weights))


def _exps(z: Sequence[float]) -> list[float]:
    top = max(z, default=0.0)
    return [math.exp(v - top) for v in z]


def _logsumexp(x: Sequence[float], e: dict[str, Any]) -> float:
    r = e["sharpness"]
    if not x:
        return -math.inf * math.copysign(1, r) if e["normalize"] == "sum" else math.nan
    top = max(r * v for v in x)
    total = math.fsum(math.exp(r * v - top) for v in x) / (e["n"] if e["normalize"] == "mean" else 1)
    return float((math.log(total) + top) / r)


def _expected(x: Sequence[float], e: dict[str, Any]) -> float:
    positive = [max(v, 0.0) for v in x]
    return _weighted(x, positive) if any(positive) else _divided(math.fsum(x), len(x))


def _importance(x: Sequence[float], e: dict[str, Any]) -> float:
    mean = _weighted(x, _exps(column(e["record"], "logits", e["o"])))
    return _divided(mean, len(x)) if e["normalize"] == "size" else mean


def _stochastic(x: Sequence[float], e: dict[str, Any]) -> float:
    if not x:
        return math.nan
    weights = _exps(x) if e["weights"] == "exp" else [max(v, 0.0) for v in x]
    weights = weights if any(weights) else [1.0] * len(x)
    goal, running = e["record"]["draw"]["uniform"][e["o"]] * math.fsum(weights), 0.0
    for value, weight in zip(x, weights, strict=True):
        running += weight
        if running > goal:
            return value
    return x[-1]


def _mixed(x: Sequence[float], e: dict[str, Any]) -> float:
    if not x:
        return math.nan
    share = e["share"]
    if e["random"]:
        share = float(e["record"]["draw"]["uniform"][e["o"]] < share)
    return float(share * max(x) + (1 - share) * math.fsum(x) / len(x))


def _kmax(x: Sequence[float], e: dict[str, Any]) -> float:
    if not x:
        return math.nan
    best = sorted(x, reverse=True)
    kept = best[: e["k"]]
    return math.fsum(kept) / len(kept)


def _trimmed(x: Sequence[float], e: dict[str, Any]) -> float:
    g = math.floor(Fraction(e["share"]) * len(x))
    kept = sorted(x)[g : len(x) - g]
    return math.fsum(kept) / len(kept) if kept else math.nan


def _mean(x: Sequence[float], e: dict[str, Any]) -> float:
    return math.fsum(x) / (e["divisor"] or e["n"]) if (e["divisor"] or e["n"]) else math.nan


_FORMULAS: dict[str, Callable[[Sequence[float], dict[str, Any]], float]] = {
    "Max": lambda x, e: _empty(x, max, -math.inf),
    "Min": lambda x, e: _empty(x, min, math.inf),
    "Mean": _mean,
    "Median": lambda x, e: _rank(x, (len(x) - 1) // 2),
    "Kth": lambda x, e: _rank(x, len(x) - e["k"] if e["largest"] else e["k"] - 1),
    "Quantile": lambda x, e: _rank(x, math.floor(Fraction(e["q"]) * (len(x) - 1) + Fraction(1, 2))),
    "L2": lambda x, e: _power([abs(v) for v in x], 2, e["normalize"], e["n"]),
    "Lp": lambda x, e: _power([abs(v) for v in x], e["p"], e["normalize"], e["n"]),
    "GeM": lambda x, e: _power([max(v, e["clamp"]) for v in x], e["p"], "mean", e["n"]),
    "LogSumExp": _logsumexp,
    "Soft": lambda x, e: _weighted(x, _exps([v / e["temperature"] for v in x])),
    "Expected": _expected,
    "Importance": _importance,
    "Stochastic": _stochastic,
    "Mixed": _mixed,
    "KMax": _kmax,
    "Trimmed": _trimmed,
}


def gathered(record: Record) -> list[float]:
    """The gradient of every cell: the sum of its products, and again of the taps that name it."""
    total = [0.0] * len(record["tensors"]["x"]["values"])
    for o in range(len(record["tensors"]["y"]["values"])):
        grad = float(record["tensors"]["grad_y"]["values"][o])
        for k in span(record, o):
            if record["taps"]["cell"][k] >= 0:
                total[record["taps"]["cell"][k]] += grad * float(record["taps"]["partial"][k])
    return total


def same(a: float, b: float, tolerance: float, scale: float = 1.0) -> bool:
    """Equal within a tolerance; NaN and infinities as they are."""
    if math.isnan(a) or math.isnan(b) or math.isinf(a) or math.isinf(b):
        return (math.isnan(a) and math.isnan(b)) or a == b
    return abs(a - b) <= tolerance * max(scale, abs(a), abs(b))
