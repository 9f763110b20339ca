"""Features that follow others: from the ties of a schema to cells that move together in an attack.

An attack climbs in the cells that are free; those that follow are recomputed from them, x' = x · Π (s'/s)^p, and after these
the summaries of a jet. The gradient in a free cell then holds what its followers do.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerastag.attacks.summaries import SummaryLink
from kerastag.schema import Schema, Tie

# Relative rounding of stored numbers, within which a feature equals what it follows.
_ROUNDING = 2e-4
# Smallest ratio s'/s of a source whose power is not 1.
_SMALLEST_RATIO = 1e-6

# Segments that are empty have the largest or smallest number of float32; beyond this there is no limit.
_NO_LIMIT = 1e30

# The columns of the sources of a feature in one slot, each with its power.
Sources = tuple[tuple[int, float], ...]


@dataclasses.dataclass(frozen=True)
class Link:
    """A tie of one column.

    Attributes:
        follower: Column that follows.
        candidates: What it may follow; of several, the first that `factor` times Π |s|^p equals.
        factor: None if it follows the only candidate whatever the values.
        tolerance: Largest difference for that comparison beside rounding.
        repeats: Whether the candidates are the same variable in earlier slots.
        beside: Column of a feature that must follow the same slot; None for none.
    """

    follower: int
    candidates: tuple[Sources, ...]
    factor: float | None
    tolerance: float
    repeats: bool = False
    beside: int | None = None

    @property
    def kind(self) -> tuple[bool, bool, int]:
        """Whether it always holds; whether the follower equals what it follows; how many features it follows."""
        width = max(map(len, self.candidates))
        single = width == 1 and all(sources[0][1] == 1 for sources in self.candidates)
        return self.factor is None, self.factor == 1 and single, width

    @classmethod
    def from_config(cls, config: dict) -> "Link":
        """A link of plain data, also after JSON has made lists of tuples."""
        candidates = tuple(tuple((int(column), float(power)) for column, power in sources) for sources in config["candidates"])
        return cls(**{**config, "candidates": candidates})


def links(schema: Schema) -> tuple[Link, ...]:
    """The ties of a schema, column by column."""
    return tuple(link for tie in schema.ties for link in _links(schema, tie))


def _links(schema: Schema, tie: Tie) -> Iterator[Link]:
    slots = _slots(schema, [tie.feature, *dict(tie.sources)])
    itself = tie.feature in dict(tie.sources)
    for slot in range(slots if "{slot}" in tie.feature else 1):
        name = tie.feature.format(slot=slot)
        others = range(slot if itself else slots) if tie.factor is not None else (slot,)
        candidates = tuple(
            tuple((schema.index(source.format(slot=other)), power) for source, power in tie.sources) for other in others
        )
        if candidates:
            beside = schema.index(tie.beside) if tie.beside else None
            yield Link(schema.index(name), candidates, tie.factor, tie.tolerance, itself, beside)


def _slots(schema: Schema, templates: Sequence[str]) -> int:
    """Number of slots of the group that the templates belong to; 1 for features without slots."""
    groups = [group for group in schema.groups for variable in group.variables if variable.name in templates and group.slots]
    return groups[0].slots or 1 if groups else 1


class _Block(NamedTuple):
    """Links that do not depend on each other, as arrays padded to the same number of candidates and sources.

    Rows are features, or where an attribute says so, all rows so far: features, then the followers of earlier blocks.

    Attributes:
        followers: Features `(links,)`.
        sources: Features `(links, candidates, sources)`; where a candidate has fewer, the feature 0 with a power of 0.
        rows: The same as rows so far.
        powers: `(links, candidates, sources)`.
        real: Whether a candidate is no padding, `(links, candidates, 1)`.
        factor: `(links, 1, 1)`, NaN where a link always holds.
        tolerance: `(links, 1, 1)`.
        equal: Whether followers equal what they follow.
        beside: For each link that whose candidates must hold as well, itself for none, `(links,)`.
    """

    followers: np.ndarray
    sources: np.ndarray
    rows: np.ndarray
    powers: np.ndarray
    real: np.ndarray
    factor: np.ndarray
    tolerance: np.ndarray
    equal: bool
    beside: np.ndarray


def _block(links: Sequence[Link], place: np.ndarray) -> _Block:
    """A block of links; `place` is the row so far of each feature."""
    candidates = max(len(link.candidates) for link in links)
    width = max(len(sources) for link in links for sources in link.candidates)
    sources = np.zeros((len(links), candidates, width), int)
    powers, real = np.zeros(sources.shape, np.float32), np.zeros((len(links), candidates, 1), bool)
    powers[:, :, 0] = 1  # a candidate that is padding is never chosen, and costs least with this power
    for number, link in enumerate(links):
        real[number, : len(link.candidates)] = True
        for candidate, content in enumerate(link.candidates):
            sources[number, candidate, : len(content)] = [column for column, _ in content]
            powers[number, candidate, : len(content)] = [power for _, power in content]
    factor = np.array([np.nan if link.factor is None else link.factor for link in links], np.float32)
    tolerance = np.array([link.tolerance for link in links], np.float32)
    followers = np.array([link.follower for link in links])
    equal = links[0].kind[1]
    row = {link.follower: number for number, link in enumerate(links)}
    beside = np.array([row[link.follower if link.beside is None else link.beside] for link in links])
    shape = (-1, 1, 1)
    return _Block(
        followers, sources, place[sources], powers, real, factor.reshape(shape), tolerance.reshape(shape), equal, beside
    )


def _blocks(links: Sequence[Link], features: int) -> tuple[list[_Block], np.ndarray]:
    """The links in order, and the row of each feature among features and followers, `(features,)`.

    A new block begins where a link follows a follower of the last one, or is of another shape.
    """
    blocks, place = [], np.arange(features)
    for members in _independent(links):
        blocks.append(_block(members, place.copy()))
        rows = features + sum(len(block.followers) for block in blocks[:-1])
        place[blocks[-1].followers] = rows + np.arange(len(members))
    return blocks, place


def _independent(links: Sequence[Link]) -> list[list[Link]]:
    groups: list[list[Link]] = []
    for link in links:
        sources = {column for content in link.candidates for column, _ in content}
        # What equals earlier slots equals the first of them, which follows nothing.
        depends = groups and not link.repeats and sources & {other.follower for other in groups[-1]}
        if not groups or depends or groups[-1][-1].kind != link.kind:
            groups.append([])
        groups[-1].append(link)
    return groups


class Chosen(NamedTuple):
    """What followers follow in some jets.

    Attributes:
        masks: For each block of links bool `(links, candidates, batch)`, true at most once for a follower.
        counts: For each summary the slots that it counts, bool `(slots, batch)`.
        logs: For each summary the logarithm of its function at the clean jets, `(batch,)`.
        holds: For each summary the jets in which the feature follows, bool `(batch,)`.
    """

    masks: tuple[tf.Tensor, ...]
    counts: tuple[tf.Tensor, ...]
    logs: tuple[tf.Tensor, ...]
    holds: tuple[tf.Tensor, ...]


class Ties:
    """The links of a threat model. Tensors inside are `(features, batch)`, so that a feature is one stretch of memory.

    Args:
        links: Ties by column; sources of a link may be followers of earlier ones.
        summaries: Summaries by column; nothing follows them.
        features: Number of features.
    """

    def __init__(self, links: Sequence[Link], summaries: Sequence[SummaryLink], features: int):
        self.links, self.summaries = tuple(links), tuple(summaries)
        self._blocks, self._place = _blocks(self.links, features)
        rows = features + len(self.links)
        self._last = self._place.copy()
        self._last[[summary.follower for summary in self.summaries]] = rows + np.arange(len(self.summaries))
        # Summaries look at few columns: gradients of slices of all would each be as large as all.
        self._summarised, self._compact = _compact(self.summaries)

    def choose(self, x: tf.Tensor, live: tf.Tensor) -> Chosen:
        """What each follower follows in each jet.

        Args:
            x: Clean features `(batch, features)`.
            live: Whether a cell may change at all, bool `(batch, features)`.
        """
        x, live = tf.transpose(x), tf.transpose(live)
        masks = tuple(_chosen(block, x, live) for block in self._blocks)
        of_objects = {s.objects: s.counts(x, live) for s in {s.objects: s for s in self.summaries}.values()}
        counts = tuple(of_objects[summary.objects] for summary in self.summaries)
        logs = tuple(summary.log(count, x) for summary, count in zip(self.summaries, counts, strict=True))
        summaries = zip(self.summaries, counts, logs, strict=True)
        return Chosen(masks, counts, logs, tuple(summary.holds(count, log, x, live) for summary, count, log in summaries))

    def followers(self, chosen: Chosen, like: tf.Tensor) -> tf.Tensor:
        """Whether a cell follows others, bool `(batch, features)`, which is the shape of `like`."""
        links = [tf.reduce_any(mask, axis=1) for mask in chosen.masks]
        return self._features([tf.zeros_like(tf.transpose(like), tf.bool), *links], chosen.holds)

    def summarised(self, chosen: Chosen, like: tf.Tensor) -> tf.Tensor:
        """Whether a cell is a summary that follows, bool `(batch, features)`, which is the shape of `like`."""
        return _spread(like, [({summary.follower}, holds) for summary, holds in zip(self.summaries, chosen.holds, strict=True)])

    def held_by_summaries(self, chosen: Chosen, like: tf.Tensor, frozen: np.ndarray) -> tf.Tensor:
        """Whether a cell must stay since a frozen summary is made of it, bool `(batch, features)`, the shape of `like`."""
        pairs = zip(self.summaries, chosen.holds, strict=True)
        return _spread(like, [({c for row in s.sources for c in row}, holds) for s, holds in pairs if frozen[s.follower]])

    def carried(self, chosen: Chosen, free: tf.Tensor) -> tf.Tensor:
        """Whether a cell is free or follows one that is, bool `(batch, features)` as `free`."""
        rows = tf.transpose(free)
        for block, mask in zip(self._blocks, chosen.masks, strict=True):
            sources = tf.gather(rows, block.rows) & (block.powers != 0)[..., None]
            follows = tf.reduce_any(mask & tf.reduce_any(sources, axis=2), axis=1)
            rows = tf.concat([rows, tf.gather(rows, block.followers) | follows], axis=0)
        features = tf.gather(rows, self._place)
        summaries = []
        for summary, counts, holds in zip(self.summaries, chosen.counts, chosen.holds, strict=True):
            sources = tf.reduce_any(counts & tf.gather(features, summary.sources), axis=(0, 1))
            summaries.append(features[summary.follower] | (holds & sources))
        return self._features([rows], summaries)

    def tighten(self, x: tf.Tensor, low: tf.Tensor, high: tf.Tensor, chosen: Chosen) -> tuple[tf.Tensor, tf.Tensor]:
        """Limits of each cell such that its followers stay within theirs; all `(batch, features)`.

        Where a feature follows several, each may use an equal share of its range, on a logarithmic scale. Summaries set no
        limit to what they are made of.
        """
        x, low, high = (tf.transpose(values) for values in (x, low, high))
        for block, mask in zip(reversed(self._blocks), reversed(chosen.masks), strict=True):
            low, high = _tightened(block, x, low, high, mask)
        return tf.transpose(low), tf.transpose(high)

    def completer(self, x: tf.Tensor, low: tf.Tensor, high: tf.Tensor, chosen: Chosen) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function that recomputes the cells of a point that follow; it and all arguments are `(batch, features)`.

        It is differentiable in the point. What does not depend on that is computed here, once for all points.
        """
        x, low, high = (tf.stop_gradient(tf.transpose(values)) for values in (x, low, high))
        blocks = [_Following.of(*pair, x, low, high) for pair in zip(self._blocks, chosen.masks, strict=True)]

        @tf.autograph.experimental.do_not_convert
        def complete(point: tf.Tensor) -> tf.Tensor:
            rows = tf.transpose(point)
            for block in blocks:
                rows = tf.concat([rows, block.moved(rows)], axis=0)
            features, summaries = tf.gather(rows, self._place[self._summarised]), []
            for summary, compact, counts, log, holds in zip(self.summaries, self._compact, *chosen[1:], strict=True):
                column = summary.follower
                moved = x[column] * tf.exp(compact.log(counts, features) - log)
                moved += tf.stop_gradient(tf.clip_by_value(moved, low[column], high[column]) - moved)
                summaries.append(tf.where(holds, moved, features[compact.follower]))
            return self._features([rows], summaries)

        return complete

    def _features(self, rows: Sequence[tf.Tensor], summaries: Sequence[tf.Tensor]) -> tf.Tensor:
        """Cells `(batch, features)` from the rows of features and of followers, and from summaries `(batch,)`."""
        every = tf.concat([*rows, tf.stack(summaries)] if summaries else rows, axis=0)
        return tf.transpose(tf.gather(every, self._last))


def _compact(summaries: Sequence[SummaryLink]) -> tuple[np.ndarray, list[SummaryLink]]:
    """The columns of all followers and sources of summaries, and the summaries by their number among these."""
    columns = np.array(sorted({column for s in summaries for column in (s.follower, *itertools.chain(*s.sources))}), int)
    number = {column: place for place, column in enumerate(columns.tolist())}

    def compact(summary: SummaryLink) -> SummaryLink:
        sources = tuple(tuple(number[column] for column in row) for row in summary.sources)
        return dataclasses.replace(summary, follower=number[summary.follower], sources=sources)

    return columns, [compact(summary) for summary in summaries]


def _spread(like: tf.Tensor, parts: Sequence[tuple[set[int], tf.Tensor]]) -> tf.Tensor:
    """True in the columns of each part in its jets `(batch,)`; bool `(batch, features)`, the shape of `like`."""
    spread = tf.zeros_like(like, tf.bool)
    for columns, jets in parts:
        spread |= np.isin(np.arange(like.shape[1]), list(columns)) & jets[:, None]
    return spread


@dataclasses.dataclass(frozen=True)
class _Following:
    """A block of links in some jets: what does not depend on the point that is looked at.

    Attributes:
        block: The links.
        mask: What each follower follows, bool `(links, candidates, batch)`.
        follows: Whether it follows anything, bool `(links, batch)`.
        clean: Clean followers, `(links, batch)`.
        low: Their smallest values.
        high: Their largest values.
        rows: Rows so far of the different sources, `(sources,)`.
        index: Place of each source among these, as the sources of the block.
        sources: Clean values of the different sources, `(sources, batch)`.
        offset: Where followers equal what they follow, their clean difference, `(links, candidates, batch)`.
    """

    block: _Block
    mask: tf.Tensor
    follows: tf.Tensor
    clean: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    rows: np.ndarray
    index: np.ndarray
    sources: tf.Tensor
    offset: tf.Tensor | None

    @classmethod
    def of(cls, block: _Block, mask: tf.Tensor, x: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> "_Following":
        """From clean features and their limits, `(features, batch)` each."""
        clean, lowest, highest = (tf.gather(values, block.followers) for values in (x, low, high))
        columns, first, index = np.unique(block.sources, return_index=True, return_inverse=True)
        rows, index = block.rows.ravel()[first], index.reshape(block.sources.shape)
        sources, offset = tf.gather(x, columns), None
        if block.equal:
            offset = tf.where(mask, clean[:, None] - tf.gather(sources, index[:, :, 0]), 0.0)
        return cls(block, mask, tf.reduce_any(mask, axis=1), clean, lowest, highest, rows, index, sources, offset)

    def moved(self, rows: tf.Tensor) -> tf.Tensor:
        """Followers `(links, batch)` from the rows so far; the first are the features of the point."""
        moved = self._equal(rows) if self.block.equal else self.clean * self._factors(rows)
        # Rounding must not carry a cell out of its box; a clip would hide the gradient there.
        moved += tf.stop_gradient(tf.clip_by_value(moved, self.low, self.high) - moved)
        return tf.where(self.follows, moved, tf.gather(rows, self.block.followers))

    def _equal(self, rows: tf.Tensor) -> tf.Tensor:
        """Values of followers that equal what they follow, up to rounding, `(links, batch)`."""
        sources = tf.gather(rows, self.block.rows[:, :, 0])
        return tf.reduce_sum(tf.where(self.mask, sources + self.offset, 0.0), axis=1)

    def _factors(self, rows: tf.Tensor) -> tf.Tensor:
        """By how much followers grow, Π (s'/s)^p, `(links, batch)`; 0 for those that follow nothing."""
        zero = tf.equal(self.sources, 0.0)  # has no ratio
        ratios = tf.where(zero, 1.0, tf.gather(rows, self.rows) / tf.where(zero, 1.0, self.sources))
        products = _products(self.block, tf.gather(ratios, self.index), _SMALLEST_RATIO)
        return tf.reduce_sum(tf.where(self.mask, products, 0.0), axis=1)


def _products(block: _Block, terms: tf.Tensor, smallest: float) -> tf.Tensor:
    """Π t^p over the sources of each candidate, `(links, candidates, batch)`; t is at least `smallest` where p is not 1."""
    plain = block.powers == 1
    if (block.powers == 0.5).all():
        terms = tf.sqrt(tf.maximum(tf.abs(terms), smallest))
    elif not plain.all():
        powers = tf.maximum(tf.abs(terms), smallest) ** block.powers[..., None]
        terms = tf.where(plain[..., None], terms, powers)
    return functools.reduce(tf.multiply, tf.unstack(terms, axis=2))


def _chosen(block: _Block, x: tf.Tensor, live: tf.Tensor) -> tf.Tensor:
    """Mask of a block, as `Ties.choose`."""
    sources = tf.gather(x, block.sources)
    used = (block.powers != 0)[..., None]
    possible = tf.reduce_all(tf.not_equal(sources, 0.0) | ~used, axis=2) & block.real
    possible &= tf.gather(live, block.followers)[:, None]
    if np.isnan(block.factor).all():
        return possible
    value = tf.abs(tf.gather(x, block.followers))[:, None]
    expected = tf.abs(block.factor) * _products(block, tf.abs(sources), float(np.finfo(np.float32).tiny))
    matches = tf.abs(expected - value) <= block.tolerance + _ROUNDING * value
    possible &= matches
    if (block.beside != np.arange(len(block.beside))).any():
        possible &= tf.gather(matches, block.beside)
    return _first(possible)


def _first(possible: tf.Tensor) -> tf.Tensor:
    """The first candidate that is true, bool `(links, candidates, batch)`; faster than a cumulative sum."""
    first, *others = tf.unstack(possible, axis=1)
    chosen, seen = [first], first
    for candidate in others:
        chosen.append(candidate & ~seen)
        seen |= candidate
    return tf.stack(chosen, axis=1)


def _tightened(block: _Block, x: tf.Tensor, low: tf.Tensor, high: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Limits of the sources of a block from those of its followers."""
    counts = mask[:, :, None] & (block.powers != 0)[..., None]
    limits = [tf.gather(values, block.followers) for values in (x, low, high)]
    smallest, largest = _equal_limits(block, x, *limits) if block.equal else _shares(block, *_range_of_ratio(*limits))

    def of_sources(reduce: Callable, values: tf.Tensor, nothing: float) -> tf.Tensor:
        rows = tf.reshape(tf.where(counts, values, nothing), (block.sources.size, -1))
        return reduce(rows, block.sources.ravel(), x.shape[0])

    at_least = of_sources(tf.math.unsorted_segment_max, smallest, -np.inf)
    at_most = of_sources(tf.math.unsorted_segment_min, largest, np.inf)
    ends = (at_least, at_most) if block.equal else (x * at_least, x * at_most)
    led = (at_least > -_NO_LIMIT) | (at_most < _NO_LIMIT)
    return (
        tf.where(led, tf.maximum(low, tf.minimum(*ends)), low),
        tf.where(led, tf.minimum(high, tf.maximum(*ends)), high),
    )


def _equal_limits(
    block: _Block, x: tf.Tensor, clean: tf.Tensor, low: tf.Tensor, high: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Smallest and largest value of each source for followers that equal it, up to rounding."""
    offset = tf.gather(x, block.sources) - clean[:, None, None]
    return low[:, None, None] + offset, high[:, None, None] + offset


def _shares(block: _Block, fewest: tf.Tensor, most: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Smallest and largest s'/s of each source, of which each takes an equal share of the range of the follower."""
    used = block.powers != 0
    share = (1 / np.where(used, block.powers * used.sum(axis=2, keepdims=True), 1)).astype(np.float32)[..., None]
    ends = [limit[:, None, None] for limit in (fewest, most)]
    if not (share == 1).all():
        ends = [tf.where(share == 1, limit, tf.maximum(limit, _SMALLEST_RATIO) ** share) for limit in ends]
    return tf.minimum(*ends), tf.maximum(*ends)


def _range_of_ratio(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Smallest and largest x'/x between two limits; no limits where x is 0."""
    zero = tf.equal(x, 0.0)
    safe = tf.where(zero, tf.ones_like(x), x)
    ends = (low / safe, high / safe)
    return (
        tf.where(zero, -np.inf, tf.minimum(tf.minimum(*ends), 1.0)),
        tf.where(zero, np.inf, tf.maximum(tf.maximum(*ends), 1.0)),
    )
