"""What a sampler decided to do next, in order: promotions and drafts.

With many candidates one look at the study decides several steps: modelling takes as long for one
as for a hundred. An agenda says how candidates and drafts compare, and which comes next when those
before it are counted on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from search.sampling.drawing import Draft
from search.sampling.observed import Dossier
from search.sampling.outlook import Forecast, Outlook

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One of both: train on the candidate `number` that has `epochs`, or start from `params`."""

    number: int | None = None
    epochs: int = 0
    params: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        if self.params is not None:
            return {"params": dict(self.params)}
        return {"number": self.number, "epochs": self.epochs}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Step:
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What it takes to train so far, in epochs."""

    horizons: FloatArray
    """float64 [horizon], epochs of a training."""
    share_trained: float
    """A draft counts as if it cost this share of its epochs: it need not be trained to the end."""

    def of_drafts(self) -> FloatArray:
        """Return float64 [horizon, 1]."""
        return np.maximum(1.0, self.share_trained * self.horizons)[:, None]

    def of_candidates(self, trained: FloatArray) -> FloatArray:
        """Return float64 [horizon, candidate]; infinite where it has trained so far already."""
        ahead = self.horizons[:, None] - trained[None]
        return np.where(ahead > 0, ahead, np.inf)


class Agenda:
    """Takes what has most to gain for an epoch, one after the other."""

    def __init__(
        self,
        outlook: Outlook,
        prices: Prices,
        drafts: Sequence[Draft],
        in_full: Forecast,
        paused: Sequence[Dossier],
    ) -> None:
        """Compare.

        Args:
            drafts: what could be started.
            in_full: what is expected of them after the last of the prices' horizons.
            paused: what could train on.
        """
        self._outlook = outlook
        self._drafts = drafts
        self._paused = paused
        self._prices = prices
        self._in_full = in_full
        self._of_paused = outlook.of_candidates(paused, prices.horizons.tolist())
        trained = np.array([d.record.epochs for d in paused], dtype=np.float64)
        self._paused_prices = prices.of_candidates(trained)
        # A draft is chosen by what it adds in the end, and worth what it adds an epoch.
        self._ends = outlook.draft_gains(in_full)[-1]
        gains = outlook.candidate_gains(self._of_paused)
        self._rates = (gains / self._paused_prices).max(axis=0, initial=0.0)

    def steps(self, count: int) -> list[Step]:
        """Return the next steps, up to so many; those taken first are counted on by the others."""
        steps: list[Step] = []
        while len(steps) < count:
            draft = _first(self._ends, self._end)
            candidate = _first(self._rates, self._rate)
            if draft is None and candidate is None:
                break
            if candidate is not None and (
                draft is None or self._rates[candidate] >= self._draft_rate(draft)
            ):
                record = self._paused[candidate].record
                steps.append(Step(number=record.number, epochs=record.epochs))
                self._rates[candidate] = -np.inf
                self._outlook.expect(self._of_paused.mean[-1, candidate])
            elif draft is not None:
                steps.append(Step(params=self._drafts[draft].params))
                self._ends[draft] = -np.inf
                self._outlook.expect(self._in_full.mean[-1, draft])
        return steps

    def _end(self, draft: int) -> float:
        return float(self._outlook.draft_gains(self._in_full.of(draft))[-1, 0])

    def _draft_rate(self, draft: int) -> float:
        horizons = self._prices.horizons.tolist()
        gains = self._outlook.draft_gains(self._outlook.of_drafts([self._drafts[draft]], horizons))
        return float((gains / self._prices.of_drafts()).max())

    def _rate(self, candidate: int) -> float:
        gains = self._outlook.candidate_gains(self._of_paused.of(candidate))[:, 0]
        return float((gains / self._paused_prices[:, candidate]).max())


def _first(values: FloatArray, now: Callable[[int], float]) -> int | None:
    """Return the place of the greatest value, -inf left out; None without any.

    Values only fall as more is counted on, so what is out of date is worked out again when it
    comes first.
    """
    while len(values):
        first = int(np.argmax(values))
        if values[first] == -np.inf:
            return None
        value = now(first)
        if value >= values[first]:
            return first
        values[first] = value
        if first == int(np.argmax(values)):
            return first
    return None
