"""Tensors of a network over a box of its inputs, and lower bounds of linear forms of them."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import tensorflow as tf

_numbers = itertools.count()

# From a form `(batch, forms, *shape)` of a node to forms of its parents, and what each cell adds, None for nothing.
Back = Callable[[tf.Tensor], tuple[Sequence[tf.Tensor], tf.Tensor | None]]


@dataclasses.dataclass(eq=False)
class Node:
    """A tensor `(batch, *shape)` whose cells lie between limits.

    Attributes:
        low: Lower limits, of the tensor's shape.
        high: Upper limits.
        parents: What it is made of; none for a node that forms are not carried beyond.
        back: A form of it is nowhere below the forms of its parents that this gives, plus what is added.
        slotwise: Whether a cell `(slot, channel)` depends on cells of the same slot alone.
        number: Later nodes have larger numbers.
    """

    low: tf.Tensor
    high: tf.Tensor
    parents: tuple["Node", ...] = ()
    back: Back | None = None
    slotwise: bool = False
    number: int = dataclasses.field(default_factory=lambda: next(_numbers))

    @property
    def is_root(self) -> bool:
        """Whether forms end here, in the interval of each cell."""
        return self.back is None

    @property
    def fixed(self) -> tf.Tensor:
        """Which cells have one value alone, bool."""
        return tf.equal(self.low, self.high)

    def tightened(self) -> "Node":
        """The same with limits as narrow as its forms allow, where that can be calculated; itself at a root.

        In a node with slots, forms are carried back slot by slot, so the layers behind must work on each slot alone.
        """
        rank = len(self.low.shape)
        if self.is_root or rank > 3 or (rank == 3 and not self.slotwise):
            return self
        forms = tf.eye(self.low.shape[-1], dtype=self.low.dtype)
        forms = forms[None] if rank == 2 else forms[None, :, None, :]
        low, high = (_by_cell(lowest(self, sign * forms)) for sign in (1.0, -1.0))
        return dataclasses.replace(self, low=tf.maximum(self.low, low), high=tf.minimum(self.high, -high))


def root(low: tf.Tensor, high: tf.Tensor) -> Node:
    """A node of which the limits are known and nothing else."""
    return Node(low, high, slotwise=len(low.shape) == 3)


def lowest(node: Node, form: tf.Tensor, *, far: bool = True) -> tf.Tensor:
    """What linear forms of a node cannot go below, by CROWN's way back through what it is made of.

    Args:
        node: The node.
        form: Coefficients `(batch or 1, forms, *shape)`. With a slot axis of length 1 in the place of `shape`'s slots it is
            a form of each slot, and the result has one for each.
        far: Whether to go back as far as possible; otherwise to the node's parents, whose intervals then count.

    Returns:
        `(batch, forms)`, or `(batch, forms, slots)` for forms of each slot.
    """
    of_slots = len(node.low.shape) == 3 and form.shape[2] == 1 and node.slotwise
    start, pending, bound = node, {node.number: (node, form)}, 0.0
    while pending:
        node, form = pending.pop(max(pending))
        if node.back is None or not (far or node is start):
            bound += _total(tf.nn.relu(form) * node.low[:, None] - tf.nn.relu(-form) * node.high[:, None], of_slots)
            continue
        forms, added = node.back(form)
        if added is not None:
            bound += _total(added, of_slots)
        for parent, part in zip(node.parents, forms, strict=True):
            pending[parent.number] = parent, part + pending[parent.number][1] if parent.number in pending else part
    return bound


def _total(values: tf.Tensor, of_slots: bool) -> tf.Tensor:
    """Sum over all axes behind `(batch, forms)`, but over channels alone for forms of each slot."""
    return tf.reduce_sum(values, axis=-1 if of_slots else list(range(2, len(values.shape))))


def _by_cell(bound: tf.Tensor) -> tf.Tensor:
    """`(batch, channels)` as it is; `(batch, channels, slots)` with slots first."""
    return bound if len(bound.shape) == 2 else tf.transpose(bound, (0, 2, 1))
