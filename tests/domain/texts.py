"""Expressions at random over a few facts."""

from __future__ import annotations

from hypothesis import strategies as st

METRICS = {"accuracy": 0.97, "loss": 0.25, "epochs": 12, "zero": 0}
PARAMS = {"alpha": 0.1, "depth": 3}
FACTS = {"metrics": METRICS, "params": PARAMS}

names = st.sampled_from(
    [*METRICS, *PARAMS, "metrics.accuracy", "params.depth", 'm["loss"]', "m['epochs']"]
)
literals = st.integers(0, 999).map(str) | st.floats(0, 1e6, allow_nan=False).map(repr)


def _grow_number(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(" ".join)
    return (
        binary
        | binary.map("({})".format)
        | inner.map("-{}".format)
        | inner.map("abs({})".format)
        | inner.map("log({})".format)
        | st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(
            lambda parts: "{}({}, {})".format(*parts)
        )
    )


def _grow_truth(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join)
    return binary | binary.map("({})".format) | inner.map("not ({})".format)


numbers = st.recursive(names | literals, _grow_number, max_leaves=8)
comparisons = st.lists(
    st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers), min_size=1, max_size=3
).flatmap(
    lambda rest: numbers.map(lambda first: " ".join([first, *(f"{op} {x}" for op, x in rest)]))
)
truths = st.recursive(comparisons | st.sampled_from(["True", "False"]), _grow_truth, max_leaves=6)
