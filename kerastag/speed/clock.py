"""Seconds of what is measured: the best of some turns in which all take part, because a machine's speed drifts."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Action = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Clock:
    """What counts as time, and how long is measured.

    Attributes:
        kind: "wall", or "cpu": the seconds of all threads of this process together, right where others use the machine.
        turns: Turns of which the best counts.
        seconds: How long a turn lasts at least, from the second on.
    """

    kind: str = "wall"
    turns: int = 3
    seconds: float = 0.2

    def in_turns(self, actions: Mapping[str, Action], once: bool = False) -> dict[str, float]:
        """Seconds of a call of each.

        Args:
            actions: What is called, by name.
            once: Whether a turn is one call. Otherwise quick ones are called several times, but in the first turn, in which
                they may trace.
        """
        best = {name: self._seconds(action, 1) for name, action in actions.items()}
        for _ in range(self.turns - 1):
            for name, action in actions.items():
                calls = 1 if once else max(1, math.ceil(self.seconds / max(best[name], 1e-9)))
                best[name] = min(best[name], self._seconds(action, calls))
        return best

    def _seconds(self, action: Action, calls: int) -> float:
        now = CLOCKS[self.kind]
        start = now()
        for _ in range(calls):
            action()
        # A clock of the processor may not have moved in a very short call.
        return max(now() - start, 1e-9) / calls
