"""Results as values: a number with its interval, its resampled values or its seeds, or the reason why there is none.

They are computed with anywhere, printed here alone, and turned into plain data where JSON, CSV or Markdown begin.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from kerastag.errors import UserError

T = TypeVar("T")
# Ratio of the half-widths of the central 95 % and 68 % of a normal distribution, 1.95996/0.99446.
_TO_95 = 1.97089


@dataclasses.dataclass(frozen=True)
class NotDefined:
    """Stands where a number would, and says why there is none; what is computed with it is not defined either."""

    reason: str

    @property
    def interval(self) -> "NotDefined":
        """Itself, as a number has an interval."""
        return self

    def __str__(self) -> str:
        return f"not defined: {self.reason}"

    def __format__(self, spec: str) -> str:
        return str(self)

    def _same(self, other: Any) -> "NotDefined":
        return self

    __sub__ = __rsub__ = __truediv__ = __rtruediv__ = _same


@dataclasses.dataclass(frozen=True)
class Interval:
    """A number and its interval, of 68 % where nothing else is said.

    Printed as value ± half the interval; `f"{interval:+}"` adds the sign, `f"{interval:[]}"` gives the interval in brackets.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: np.ndarray, level: float = 0.68) -> "Interval":
        """A number and the central part of its resampled values, as large as the level; those not finite are left out."""
        finite = resampled[np.isfinite(resampled)]
        low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]) if len(finite) else (np.nan, np.nan)
        return cls(float(value), float(low), float(high))

    @classmethod
    def around(cls, value: float, error: float) -> "Interval":
        """A number with a symmetric error."""
        return cls(float(value), float(value - error), float(value + error))

    @property
    def error(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def at_95(self) -> "Interval":
        """The 95 % interval from that of 68 %, of a normal distribution, each side on its own."""
        below, above = (_TO_95 * side for side in (self.value - self.low, self.high - self.value))
        return Interval(self.value, self.value - below, self.value + above)

    def __str__(self) -> str:
        return plus_minus(self.value, self.error)

    def __format__(self, spec: str) -> str:
        sign = "+" if "+" in spec else ""
        if "[]" not in spec:
            return plus_minus(self.value, self.error, sign)
        value, low, high = (f"{number:{sign}.{decimals(self.error)}f}" for number in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


@dataclasses.dataclass(frozen=True)
class Resampled:
    """A number and what it is in each bootstrap resample, `(replicates,)`; differences and ratios of two are paired."""

    value: float
    values: np.ndarray

    @classmethod
    def mean(cls, numbers: Sequence["Resampled"]) -> "Resampled":
        """Mean of numbers with the same resamples."""
        return cls(float(np.mean([number.value for number in numbers])), np.mean([number.values for number in numbers], axis=0))

    @property
    def interval(self) -> Interval:
        """The number with the central 68 % of its resampled values."""
        return Interval.of(self.value, self.values)

    def _with(self, other: Any, function: Callable) -> Any:
        if isinstance(other, Resampled):
            return Resampled(function(self.value, other.value), function(self.values, other.values))
        return other if isinstance(other, NotDefined) else Resampled(function(self.value, other), function(self.values, other))

    def __sub__(self, other: Any) -> Any:
        return self._with(other, np.subtract)

    def __truediv__(self, other: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample of few jets may lose nothing
            return self._with(other, np.divide)


@dataclasses.dataclass(frozen=True)
class Seeds:
    """A number from several trainings that differ in their seed; printed as mean ± standard deviation, with a sign by `:+`."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def __str__(self) -> str:
        return f"{self}"

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}.4f}" if self.spread is None else plus_minus(self.mean, self.spread, spec)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A number of a training that was made with several seeds; differences and ratios of two are paired in the sample.

    Attributes:
        mean: Mean over the seeds, resampled.
        error: How far another seed may lie from that mean, half a 95 % interval; 0 where there is a single seed.
    """

    mean: Resampled
    error: float

    @classmethod
    def of(cls, seeds: Sequence[Resampled]) -> "Trained":
        """From the number of each seed, all with the same resamples."""
        return cls(Resampled.mean(seeds), error_of_another_seed([seed.value for seed in seeds]))

    def __sub__(self, other: "Trained") -> "Trained":
        return Trained(self.mean - other.mean, float(np.hypot(self.error, other.error)))

    def __truediv__(self, other: "Trained") -> "Trained":
        ratio = self.mean / other.mean
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = (np.divide(one.error, one.mean.value) for one in (self, other))
            return Trained(ratio, float(abs(ratio.value) * np.hypot(*shares)))

    @property
    def interval(self) -> Interval:
        """The mean with its 95 % interval: that of the sample, and the error of the seeds in quadrature."""
        sample = Interval.of(self.mean.value, self.mean.values, 0.95)
        below, above = (np.hypot(side, self.error) for side in (sample.value - sample.low, sample.high - sample.value))
        return Interval(sample.value, float(sample.value - below), float(sample.value + above))


def error_of_another_seed(values: Sequence[float]) -> float:
    """How far one more seed may lie from the mean of several, half a 95 % interval; 0 for a single one.

    That of one more draw from a normal distribution: t·s·√(1 + 1/n), with Student's t of n - 1 degrees of freedom.

    Args:
        values: The number of each seed.
    """
    from scipy import stats  # takes long to import, and this module is imported everywhere

    number = len(values)
    if number == 1:
        return 0.0
    return float(stats.t.ppf(0.975, number - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / number))


Number = Interval | NotDefined


def defined(number: T | NotDefined, what: str) -> T:
    """The number, if it is one.

    Args:
        number: What was measured.
        what: Its name, with the jets on which it was measured.

    Raises:
        UserError: if it is not defined; the message gives the reason.
    """
    if isinstance(number, NotDefined):
        raise UserError(f"{what} is {number}; take jets of all flavours.")
    return number


def decimals(error: float) -> int:
    """Digits behind the point that an error allows: two of its own below 355, else one; 4 if the error is 0 or not finite.

    Reference: Particle Data Group, Review of Particle Physics, introduction, section 5.3.
    """
    if not (np.isfinite(error) and error > 0):
        return 4
    exponent = int(np.floor(np.log10(error)))
    return max(0, (1 if error / 10.0**exponent < 3.55 else 0) - exponent)


def plus_minus(value: float, error: float, sign: str = "") -> str:
    """A number ± its error, with the digits that the error allows."""
    digits = decimals(error)
    return f"{value:{sign}.{digits}f} ± {error:.{digits}f}"


def plain(value: Any) -> Any:
    """The same as plain data for JSON; what `revived` brings back comes back as it was."""
    if isinstance(value, NotDefined):
        return {"not_defined": value.reason}
    if isinstance(value, Resampled):
        return plain(value.interval)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def revived(content: dict[str, Any]) -> Any:
    """An object of JSON with the values of this module in their types, as `object_hook` of `json.loads`."""
    if content.keys() == {"value", "low", "high"}:
        return Interval(**content)
    if content.keys() == {"not_defined"}:
        return NotDefined(content["not_defined"])
    if content.keys() == {"values"} and isinstance(content["values"], list):
        return Seeds(tuple(content["values"]))
    return content


def columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for CSV: an interval becomes `<name>`, `_low`, `_high`, seeds `<name>_mean`, `_spread`, `_number`."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Resampled | Interval):
            interval = value.interval if isinstance(value, Resampled) else value
            flat |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        elif isinstance(value, Seeds):
            flat |= {f"{name}_mean": value.mean, f"{name}_spread": value.spread, f"{name}_number": len(value.values)}
        else:
            flat[name] = str(value) if isinstance(value, NotDefined) else value
    return flat
