"""Parsing Python that a user wrote: read and never run, and without a word on the screen."""

from __future__ import annotations

import ast
import threading
import warnings
from typing import TypeVar

# The filters of warnings are the whole process's: two threads must not restore each other's.
_filters = threading.Lock()
_Tree = TypeVar("_Tree", ast.Module, ast.Expression)


def parse_module(source: bytes | str) -> ast.Module:
    """The syntax tree of a module; SyntaxError where it has none, however that came about."""
    return _parsed(source, "exec", ast.Module)


def parse_expression(source: str) -> ast.expr:
    """The syntax tree of one expression; SyntaxError where it is none."""
    return _parsed(source, "eval", ast.Expression).body


def _parsed(source: bytes | str, mode: str, kind: type[_Tree]) -> _Tree:
    try:
        with _filters, warnings.catch_warnings():
            # A stray backslash in a user's string would be told on the terminal, over the screen.
            warnings.simplefilter("ignore")
            tree = compile(source, "<source>", mode, ast.PyCF_ONLY_AST, dont_inherit=True)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error)) from None
    assert isinstance(tree, kind)
    return tree
