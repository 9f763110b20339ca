"""Expressions of branches, over whole columns of jets: arithmetic, comparisons, functions, and nothing else.

They come from schemas and command lines, also those of others, so they are walked, never run. `and`, `or`, `not` and
`0 < x < 1` mean what they say in each jet. Functions are those of uproot's language, and `num`, the number of objects of a jet.
`values[index]` takes the objects that a list of positions in the same event or jet names.
"""

import ast
import functools
import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import awkward as ak
import numpy as np
from uproot.language.python import PythonLanguage

from kerastag.errors import UserError, nearest


def _power(base: Any, exponent: Any) -> Any:
    """A power; of two numbers a real one, since whole ones could grow without end."""
    return float(base) ** exponent if isinstance(base, int) and isinstance(exponent, int) else base**exponent


FUNCTIONS: dict[str, Callable] = {**PythonLanguage().functions, "num": lambda values: ak.num(values, axis=-1)}
_OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
# Longer ones are no expression that a person has written, and could exhaust the parser.
_LONGEST = 2_000


def names(expression: str, branches: Collection[str], table: str) -> list[str]:
    """Branches that an expression needs, in the order in which they stand in it.

    Args:
        expression: The name of a branch, or arithmetic of some.
        branches: Names that exist.
        table: What has these branches, for messages.

    Raises:
        UserError: if it is no expression, or names what does not exist; the message says what it may have meant.
    """
    if expression in branches:
        return [expression]
    try:
        found = list(dict.fromkeys(_names(_parsed(expression), expression)))
    except RecursionError as error:
        raise UserError(f"'{expression[:40]}…' is not a valid expression: it is nested too deeply.") from error
    if not found:
        raise UserError(f"'{expression}' names no branch, so it says nothing of a jet.")
    for name in found:
        if name not in branches:
            inside = "" if name == expression else f" for '{expression}'"
            raise UserError(
                f"{table} has no branch '{name}'{inside}; the nearest that exist are {nearest(name, sorted(branches))}."
            )
    return found


def evaluate(expression: str, values: Mapping[str, ak.Array]) -> ak.Array:
    """The value of an expression in each jet or event.

    Args:
        expression: As in `names`.
        values: Columns by name, at least those of `names`.

    Raises:
        UserError: if it cannot be computed from these columns.
    """
    if expression in values:
        return values[expression]
    try:
        with np.errstate(all="ignore"):  # what is not finite is counted and set to its default
            return _value(_parsed(expression), values)
    except UserError:
        raise
    except Exception as error:  # NumPy and awkward say nowhere what columns that do not fit raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"'{expression}' cannot be computed: {reason}.") from error


def _parsed(expression: str) -> ast.expr:
    try:
        if len(expression) > _LONGEST:
            raise UserError(f"An expression of {len(expression):,} characters is longer than {_LONGEST:,}.")
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"'{expression}' is not a valid expression: {getattr(error, 'msg', error)}.") from error


def _names(node: ast.AST, expression: str) -> Iterator[str]:
    """Names of branches below a node; anything that is not allowed is refused here."""
    if dotted := _dotted(node):
        yield dotted
        return
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords:
            name = ast.unparse(node.func)
            raise UserError(f"'{expression}' calls '{name}'; the nearest functions are {nearest(name, sorted(FUNCTIONS))}.")
        children: list[ast.expr] = node.args
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        children = [node.left, node.right]
    elif isinstance(node, ast.BoolOp):
        children = node.values
    elif isinstance(node, ast.UnaryOp):
        children = [node.operand]
    elif isinstance(node, ast.Compare) and all(type(op) in _OPERATORS for op in node.ops):
        children = [node.left, *node.comparators]
    elif isinstance(node, ast.Subscript):
        children = [node.value, node.slice]
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        children = []
    else:
        raise UserError(f"'{expression}' is not a valid expression: '{ast.unparse(node)}' is neither arithmetic nor a branch.")
    for child in children:
        yield from _names(child, expression)


def _dotted(node: ast.AST) -> str:
    """A name, also one with dots in it, such as Delphes' `Jet.PT`; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def _value(node: ast.AST, values: Mapping[str, ak.Array]) -> Any:
    """Value of a node that `_names` has let pass."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(argument, values) for argument in arguments))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=op, operand=operand):
            return _OPERATORS[type(op)](_value(operand, values))
        case ast.BoolOp(op=op, values=operands):
            return functools.reduce(_OPERATORS[type(op)], (_value(operand, values) for operand in operands))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [_value(side, values) for side in (left, *comparators)]
            pairs = zip(ops, sides, sides[1:], strict=False)
            return functools.reduce(np.logical_and, (_OPERATORS[type(op)](first, second) for op, first, second in pairs))
        case ast.Subscript(value=value, slice=index):
            return _value(value, values)[_value(index, values)]
        case _:
            return values[_dotted(node)]
