"""A step from memory of its own, as a graph replays it, is the step that it was made of."""

from __future__ import annotations

import copy
import gc
import weakref
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from ecgmodels import ECGNetwork, EfficientECGConfig, TrainingConfig, build_model
from ecgmodels.inference.prediction import autocast
from ecgmodels.loading.batches import Batch
from ecgmodels.training import captured as module
from ecgmodels.training.captured import CapturedStep, Step
from ecgmodels.training.optimisation import adamw

CPU = torch.device("cpu")

MODEL = EfficientECGConfig(
    leads=2,
    samples=64,
    classes=3,
    features=("age", "sex"),
    base="tiny",
    width=0.5,
    fusion="attention",
    placements=("stage2",),
    dropout=0.3,
    drop_path=0.3,
)


class Trained:
    """A network with its optimiser, and a step that learns with all that a step may do."""

    def __init__(self, model: ECGNetwork, device: torch.device = CPU) -> None:
        self.model = model.to(device).train()
        self.optimizer = adamw(model, TrainingConfig(weight_decay=0.1))
        self.device = device

    def step(self, batch: Batch) -> Tensor:
        noisy = batch._replace(signal=batch.signal + 0.1 * torch.randn_like(batch.signal))
        with autocast(self.device):
            logits = self.model(*noisy.inputs)
        loss = nn.functional.cross_entropy(logits.float(), batch.label)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.detach()

    def rate(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value


def pair(config: EfficientECGConfig = MODEL, device: torch.device = CPU) -> tuple[Trained, Trained]:
    torch.manual_seed(0)
    model = build_model(config)
    return Trained(copy.deepcopy(model), device), Trained(model, device)


def capturing(trained: Trained) -> Step:
    return partial(CapturedStep([trained.optimizer], trained.device), trained.step)


def batch(number: int, segments: int = 8, samples: int = 64, masked: bool = False) -> Batch:
    random = torch.Generator().manual_seed(number)
    features = torch.randn(segments, 2, generator=random)
    mask = None
    if masked:
        valid = torch.randint(20, samples + 1, (segments, 1), generator=random)
        mask = torch.arange(samples) < valid
    signal = torch.randn(segments, 2, samples, generator=random)
    return Batch(
        signal if mask is None else signal * mask[:, None],
        mask,
        features,
        features > 0,
        torch.randint(3, (segments,), generator=random),
    )


def on(device: torch.device, given: Batch) -> Batch:
    return Batch(*(None if column is None else column.to(device) for column in given))


MIXED = (
    batch(0),
    batch(1),
    batch(2, segments=5),
    batch(3, samples=48),
    batch(4, masked=True),
    batch(5, segments=5),
    batch(6, samples=48, masked=True),
    batch(7),
    batch(8, masked=True),
)


def assert_equally_trained(one: Trained, other: Trained) -> None:
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    states = [trained.optimizer.state_dict() for trained in (one, other)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    for number, state in states[0]["state"].items():
        for key, value in state.items():
            assert torch.equal(value, states[1]["state"][number][key]), (number, key)


def test_batches_of_any_shapes_are_learnt_from_as_without_it_bit_for_bit() -> None:
    plain, other = pair()
    step = capturing(other)
    for number, given in enumerate(MIXED):
        for trained in (plain, other):
            trained.rate(1e-3 * (number + 1) / 7)
        torch.manual_seed(number)
        expected = plain.step(given)
        torch.manual_seed(number)
        assert torch.equal(step(given), expected), number
    assert_equally_trained(plain, other)


def test_shapes_beyond_the_most_that_are_kept_are_learnt_from_too() -> None:
    plain, other = pair()
    step = capturing(other)
    for number in range(module.MOST_SHAPES + 3):
        given = batch(number, samples=40 + number)
        torch.manual_seed(number)
        expected = plain.step(given)
        torch.manual_seed(number)
        assert torch.equal(step(given), expected), number
    assert_equally_trained(plain, other)


def test_losses_and_batches_stay_what_they_were_when_others_follow() -> None:
    _, trained = pair()
    step = capturing(trained)
    kept, copies, losses, values = [], [], [], []
    for given in MIXED:
        kept.append(given)
        copies.append(copy.deepcopy(given))
        losses.append(step(given))
        values.append(float(losses[-1]))
    assert [float(loss) for loss in losses] == values
    assert len(set(values)) == len(values)
    for given, before in zip(kept, copies, strict=True):
        for column, value in zip(given, before, strict=True):
            assert column is value is None or torch.equal(column, value)


def test_the_step_reads_memory_that_stays_where_it_is_and_holds_the_present_batch() -> None:
    seen: list[Batch] = []

    def look(given: Batch) -> Tensor:
        seen.append(given)
        contents.append(copy.deepcopy(given))
        return torch.zeros(())

    contents: list[Batch] = []
    _, trained = pair()
    step = partial(CapturedStep([trained.optimizer], CPU), look)
    for given in MIXED:
        step(given)
    addresses: dict[tuple[object, ...], int] = {}
    for given, read, content in zip(MIXED, seen, contents, strict=True):
        shape = (given.signal.shape, given.signal_mask is None)
        assert addresses.setdefault(shape, read.signal.data_ptr()) == read.signal.data_ptr()
        assert read.signal.data_ptr() != given.signal.data_ptr()
        for column, value in zip(given, content, strict=True):
            assert column is value is None or torch.equal(column, value)
    assert len(set(addresses.values())) == len(addresses) == 5


def test_inside_a_step_rates_are_numbers_in_memory_and_outside_they_are_pythons() -> None:
    _, trained = pair()
    trained.rate(0.125)
    inside: list[object] = []

    def fail(given: Batch) -> Tensor:
        inside.extend(group["lr"] for group in trained.optimizer.param_groups)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        CapturedStep([trained.optimizer], CPU)(fail, batch(0))
    assert all(isinstance(rate, Tensor) and float(rate) == 0.125 for rate in inside)
    for group in trained.optimizer.param_groups:
        assert type(group["lr"]) is float
        assert group["lr"] == 0.125
        assert group["capturable"] is False


def test_a_loss_that_is_not_finite_comes_out() -> None:
    _, trained = pair()
    step = capturing(trained)
    spoilt = batch(1)
    spoilt.signal[3, 0, 5] = float("nan")
    assert step(batch(0)).isfinite()
    assert step(spoilt).isnan()


def test_whoever_owns_the_step_can_be_let_go() -> None:
    _, trained = pair()
    captured = CapturedStep([trained.optimizer], CPU)
    captured(trained.step, batch(0))
    gone = weakref.ref(trained)
    gc.disable()
    try:
        del trained
        assert gone() is None
    finally:
        gc.enable()
    assert captured is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="captures CUDA graphs: needs a GPU")
def test_a_replayed_step_is_the_step_on_a_gpu() -> None:
    device = torch.device("cuda", 0)
    plain, other = pair(device=device)
    captured = CapturedStep([other.optimizer], device)
    for number in range(12):
        given = on(device, batch(number % 5, samples=64 if number % 3 else 48))
        for trained in (plain, other):
            trained.rate(1e-3 * (number + 1) / 7)
        losses = []
        for learn in (plain.step, partial(captured, other.step)):
            torch.cuda.manual_seed(number)
            losses.append(float(learn(given)))
        assert losses[1] == pytest.approx(losses[0], rel=0.02), number
    assert sum(known.graph is not None for known in captured._known.values()) == 2
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(
            other.model.state_dict()[name], value, rtol=0.05, atol=0.01, msg=name
        )
