"""A training step as one launch: a CUDA graph, replayed for every batch of a shape it knows.

A small network's step is hundreds of kernels of a few microseconds, and launching one from Python
takes longer than running it. A graph of them is launched at once. What it reads and writes stays
where it was in memory: batches are copied there, learning rates are numbers there, the loss is
read from there. (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs has the rules.)

Data parallelism goes without, as its ranks would have to capture together.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ecgmodels.loading.batches import Batch

WARM_UP_STEPS = 3
"""Steps of a shape before its graph is captured, as many as torch's `make_graphed_callables` takes:
libraries are loaded, kernels chosen and the optimiser's state is made meanwhile."""

MOST_SHAPES = 8
"""Shapes that have memory, and a graph, of their own: trimmed batches have few lengths. Batches of
a further shape are learnt from as they come."""

_Shape = tuple[tuple[tuple[int, ...], torch.dtype] | None, ...]


Step = Callable[[Batch], Tensor]


class CapturedStep:
    """Does what `step(batch)` does; from the fourth batch of a shape on, by replaying it.

    The steps that warm up learn from their batches as all do, so that weights, the optimiser's
    state, batch norm's statistics and random numbers are at every batch what they would be without
    capture. On a CPU all steps are of that kind.
    """

    def __init__(self, optimizers: Sequence[Optimizer], device: torch.device) -> None:
        """Begin without graphs.

        Args:
            optimizers: those that the step steps, torch's fused AdamW. What they remember must stay
                where it is: after `load_state_dict`, begin anew.
            device: where batches, weights and losses are.
        """
        self._optimizers = tuple(optimizers)
        self._device = device
        self._rates = _Rates(optimizers, device)
        self._known: dict[_Shape, _Known] = {}
        self._captures = device.type == "cuda"
        if self._captures:
            # One stream to warm up and to capture on, as libraries prepare themselves for each by
            # itself; the default one cannot be captured.
            self._stream = torch.cuda.Stream(device)
            # One pool for all graphs: none needs what another left there.
            self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Step, batch: Batch) -> Tensor:
        """Learn from `batch` at the optimisers' present learning rates; return the loss.

        Args:
            step: always the same one (not kept here, so that its owner can be let go). It learns
                from a batch and returns the loss, lets go of old gradients itself, never waits for
                the device, draws from the device's default generator alone, and does the same for
                every batch of a shape.
        """
        self._rates.note()
        known = self._known_for(batch)
        if known is None:
            return self._now(step, batch)
        known.take(batch)
        if self._captures and known.graph is None and known.steps >= WARM_UP_STEPS:
            self._capture(step, known)
        known.steps += 1
        if known.graph is None:
            return self._now(step, known.batch)
        known.graph.replay()
        assert known.loss is not None
        return known.loss.clone()  # the next replay writes over it

    def _known_for(self, batch: Batch) -> _Known | None:
        """Return what there is for batches of this shape; None if it is one too many."""
        shape = tuple(
            None if column is None else (tuple(column.shape), column.dtype) for column in batch
        )
        if shape not in self._known and len(self._known) < MOST_SHAPES:
            self._known[shape] = _Known.like(batch)
        return self._known.get(shape)

    def _now(self, step: Step, batch: Batch) -> Tensor:
        with self._launching(capturable=False):
            return step(batch)

    def _capture(self, step: Step, known: _Known) -> None:
        """Record the step, of which nothing is done yet."""
        graph = torch.cuda.CUDAGraph()
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        try:
            with (
                self._launching(capturable=True),
                torch.cuda.graph(
                    graph,
                    pool=self._pool,
                    stream=self._stream,
                    capture_error_mode="thread_local",  # another may be bringing segments here
                ),
            ):
                known.loss = step(known.batch)
        except RuntimeError as error:
            warnings.warn(
                "training goes on without a CUDA graph, and slower, as the step cannot be "
                f"captured: {str(error).splitlines()[0]}",
                stacklevel=2,
            )
            self._captures = False
        else:
            known.graph = graph

    @contextmanager
    def _launching(self, *, capturable: bool) -> Iterator[None]:
        """Launch on the stream that can be captured, between what was and will be launched."""
        with ExitStack() as stack:
            stack.enter_context(self._rates.in_memory(capturable=capturable))
            # Weights that autocast keeps would be of a memory that only one graph fills.
            stack.enter_context(
                torch.autocast(self._device.type, enabled=False, cache_enabled=False)
            )
            if self._device.type == "cuda":
                present = torch.cuda.current_stream(self._device)
                self._stream.wait_stream(present)
                stack.callback(present.wait_stream, self._stream)
                stack.enter_context(torch.cuda.stream(self._stream))
            yield


@dataclass(kw_only=True)
class _Known:
    """A shape of batches: where they are put, and the graph that reads them there."""

    batch: Batch
    steps: int = 0
    graph: Any = None
    """torch.cuda.CUDAGraph, once captured"""
    loss: Tensor | None = None
    """What the graph writes."""

    @classmethod
    def like(cls, batch: Batch) -> _Known:
        contiguous = [
            None
            if column is None
            else torch.empty_like(column, memory_format=torch.contiguous_format)
            for column in batch
        ]
        return cls(batch=Batch._make(contiguous))

    def take(self, batch: Batch) -> None:
        for own, column in zip(self.batch, batch, strict=True):
            if own is not None and column is not None:
                own.copy_(column)


class _Rates:
    """Learning rates as numbers in memory, which a graph reads anew each time."""

    def __init__(self, optimizers: Sequence[Optimizer], device: torch.device) -> None:
        self._groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        # CUDA's fused kernels read float32; on a CPU the rate is a double, as a Python number is.
        dtype = torch.float64 if device.type == "cpu" else torch.float32
        self._rates = [torch.zeros((), dtype=dtype, device=device) for _ in self._groups]

    def note(self) -> None:
        """Put the groups' present rates, Python numbers, where a graph reads them."""
        torch._foreach_zero_(self._rates)
        torch._foreach_add_(self._rates, [float(group["lr"]) for group in self._groups])

    @contextmanager
    def in_memory(self, *, capturable: bool) -> Iterator[None]:
        """Inside, the optimisers read their rates from there."""
        numbers = [group["lr"] for group in self._groups]
        for group, rate in zip(self._groups, self._rates, strict=True):
            group.update(lr=rate, capturable=capturable)
        try:
            yield
        finally:
            for group, number in zip(self._groups, numbers, strict=True):
                group.update(lr=number, capturable=False)
