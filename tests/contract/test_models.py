"""What every family of networks keeps to. A new family gets cases in `made_networks`, nothing
else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ecgmodels import FAMILIES, ConfigError, build_model, cost, model_config, resolve
from ecgmodels.export.onnx import TOLERANCE, export_onnx, onnx_difference
from tests.made_networks import (
    CASES,
    CLASSES,
    FEATURES,
    LEADS,
    SAMPLES,
    built,
    configured,
    counted_macs,
    counted_parameters,
    in_double,
    inputs,
    lived,
    lived_in_double,
    padded,
    row,
)

WITH_FEATURES = [name for name, values in CASES.items() if "features" in values]
WITHOUT_FEATURES = [name for name in CASES if name not in WITH_FEATURES]
# Writing an ONNX file takes seconds.
EXPORTED = [
    "efficientecg, another shape",
    "efficientecg, both attend",
    "efficientecg, leads apart",
    *(name for name in WITH_FEATURES if not name.startswith("efficientecg")),
]

every_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks are faster so, and equal from run to run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_close(got: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1)


def test_every_family_has_cases() -> None:
    assert {case.partition(",")[0] for case in CASES} == set(FAMILIES)


@every_case
def test_logits_are_float32_one_for_each_class(case: str) -> None:
    logits = lived(case)(*inputs(case))
    assert logits.shape == (6, CLASSES)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@every_case
@pytest.mark.parametrize("time", [1, 60, 130])
def test_a_signal_may_be_shorter_or_longer_than_configured(case: str, time: int) -> None:
    assert lived(case)(*inputs(case, batch=2, time=time)).isfinite().all()


@every_case
def test_under_autocast_logits_are_bfloat16_and_near(case: str) -> None:
    model, batch = lived(case), padded(inputs(case), [97, 1, 50, 96, 33, 64], 100, float("nan"))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(*batch)
    assert logits.dtype == torch.bfloat16
    exact = model(*batch).detach()
    assert (logits.float() - exact).abs().max() < 0.1 * exact.abs().max().clamp(min=1)


@every_case
def test_costs_are_those_of_the_built_network(case: str) -> None:
    model = built(case).eval()
    assert cost(model.config) == {
        "parameters": counted_parameters(model),
        "macs": counted_macs(model),
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_costs_are_those_of_the_network_of_full_size(family: str) -> None:
    values = {"model": family, "leads": 12, "samples": 1000, "classes": 5}
    with torch.device("meta"):
        model = build_model(model_config(values)).eval()
    assert cost(model.config) == {
        "parameters": counted_parameters(model),
        "macs": counted_macs(model),
    }


@every_case
def test_a_configuration_comes_back_from_json(case: str) -> None:
    config = configured(case)
    assert model_config(json.loads(json.dumps(config.to_dict()))) == config


@every_case
def test_a_plan_is_json_and_equal_for_equal_configurations(case: str) -> None:
    config = configured(case)
    plan = resolve(config)
    assert json.loads(json.dumps(plan.to_dict(), allow_nan=False)) == plan.to_dict()
    assert resolve(model_config(config.to_dict())) == plan
    other = resolve(dataclasses.replace(config, classes=CLASSES + 1))
    assert other != plan
    assert other.to_dict() != plan.to_dict()


@every_case
def test_gradient_reaches_every_parameter(case: str) -> None:
    """From some seed: a narrow layer may begin with all of its ReLUs shut."""
    unreached = {name for name, _ in built(case).named_parameters()}
    for seed in range(4):
        for name, gradient in gradients(case, seed).items():
            assert gradient.isfinite().all(), name
            if gradient.abs().max() > 0:
                unreached.discard(name)
    assert not unreached


def gradients(case: str, seed: int) -> dict[str, Tensor]:
    """After one step: a branch whose last norm begins at 0 learns nothing in the first."""
    model = built(case, seed).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(2):
        optimiser.zero_grad()
        model(*inputs(case, batch=8, seed=seed)).square().mean().backward()
        optimiser.step()
    named = dict(model.named_parameters())
    assert all(parameter.grad is not None for parameter in named.values())
    return {name: p.grad for name, p in named.items() if p.grad is not None}


@every_case
def test_weight_decay_spares_vectors_and_nothing_twice(case: str) -> None:
    model = built(case)
    spared = list(model.undecayed_parameters())
    assert len(set(spared)) == len(spared)
    assert {p for p in model.parameters() if p.ndim == 1} <= set(spared) < set(model.parameters())


@every_case
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_padding_never_changes_an_output(case: str, data: st.DataObject) -> None:
    """Whatever its length and what stands there, in double precision, where rounding hides less."""
    lengths = data.draw(st.lists(st.integers(1, SAMPLES), min_size=4, max_size=4))
    time = max(lengths) + data.draw(st.integers(0, 40))
    garbage = data.draw(st.sampled_from([0.0, 1e6, -1e6, float("inf"), float("nan")]))
    model, of, tolerance = lived_in_double(case), in_double(inputs(case)), 1e-11
    if "resolution" in CASES[case]:  # a resampled network has weights of single precision
        model, of, tolerance = lived(case), inputs(case), 1e-5
    with torch.inference_mode():
        got = model(*padded(of, lengths, time, garbage))
        for index, length in enumerate(lengths):
            assert_close(got[index : index + 1], model(*row(of, index, length)), tolerance)


@every_case
def test_padding_never_changes_an_output_in_single_precision(case: str) -> None:
    model, of = lived(case), inputs(case)
    lengths = [97, 1, 50, 96, 33, 64]
    with torch.inference_mode():
        got = model(*padded(of, lengths, 120, float("nan")))
        for index, length in enumerate(lengths):
            assert_close(got[index : index + 1], model(*row(of, index, length)))


@every_case
def test_padding_never_changes_a_gradient_into_nothing(case: str) -> None:
    model = built(case).train()
    batch = padded(inputs(case), [97, 1, 50, 96, 33, 64], 130, float("nan"))
    model(*batch).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for name, value in model.named_buffers():
        assert value.isfinite().all(), name


@pytest.mark.parametrize("case", WITHOUT_FEATURES)
def test_without_a_mask_nothing_is_masked(case: str) -> None:
    model = lived(case)
    with torch.inference_mode():
        operations = operations_of(lambda: model(*inputs(case)))
        masked = operations_of(lambda: model(*padded(inputs(case), [97] * 6, 97, 0.0)))
    assert "aten.masked_fill.Scalar" in masked
    assert not {name for name in operations if "masked" in name or "where" in name}
    assert not {name for name in operations if "bitwise" in name or "logical" in name}


def operations_of(run: Callable[[], Tensor]) -> set[str]:
    names: set[str] = set()

    class Recording(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            names.add(str(function))
            return function(*args, **(kwargs or {}))

    with Recording():
        run()
    return names


@every_case
def test_a_seed_determines_weights_and_outputs(case: str) -> None:
    first, second, other = built(case), built(case), built(case, seed=1)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    batch = inputs(case)
    assert torch.equal(first.eval()(*batch), second.eval()(*batch))
    assert not torch.equal(first(*batch), other.eval()(*batch))


@every_case
def test_evaluation_repeats_itself(case: str) -> None:
    model, batch = lived(case), inputs(case)
    assert torch.equal(model(*batch), model(*batch))


@every_case
def test_the_rest_of_the_batch_does_not_matter(case: str) -> None:
    model, batch = lived(case), inputs(case)
    with torch.inference_mode():
        together = model(*batch)
        alone = torch.cat([model(*row(batch, index)) for index in range(6)])
        turned = model(*(None if value is None else value.flip(0) for value in batch))
    assert_close(together, alone)
    assert_close(together, turned.flip(0))


@every_case
def test_each_lead_and_its_time_matter(case: str) -> None:
    model, batch = lived(case), inputs(case)
    with torch.inference_mode():
        expected = model(*batch)
        for lead in range(LEADS):
            turned = batch[0].clone()
            turned[:, lead] = -turned[:, lead]
            assert (model(turned, *batch[1:]) - expected).abs().max() > 1e-4
        swapped = batch[0].flip(1)
        assert (model(swapped, *batch[1:]) - expected).abs().max() > 1e-4


@pytest.mark.parametrize("case", WITH_FEATURES)
def test_features_matter_and_a_missing_one_is_no_average_one(case: str) -> None:
    model = lived(case)
    signal, values, _, mask, template = inputs(case)
    known = torch.ones_like(values, dtype=torch.bool)
    with torch.inference_mode():
        expected = model(signal, values, known, mask, template)
        for feature in range(len(FEATURES)):
            others, average, unknown = values.clone(), values.clone(), known.clone()
            others[:, feature] += 1
            average[:, feature] = 0
            unknown[:, feature] = False
            moved = model(signal, others, known, mask, template)
            assert (moved - expected).abs().min(dim=0).values.max() > 1e-5
            missing = model(signal, values, unknown, mask, template)
            assert torch.equal(missing, model(signal, others, unknown, mask, template))
            assert (missing - model(signal, average, known, mask, template)).abs().max() > 1e-5


@every_case
def test_a_state_comes_back_from_safetensors(case: str) -> None:
    model, other = lived(case), built(case, seed=7).eval()
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    other.load_state_dict(safetensors.torch.load(safetensors.torch.save(state)))
    assert torch.equal(model(*inputs(case)), other(*inputs(case)))


@every_case
def test_entries_of_a_state_share_no_storage(case: str) -> None:
    values = [value for value in lived(case).state_dict().values() if value.numel()]
    assert len({value.untyped_storage().data_ptr() for value in values}) == len(values)


@pytest.mark.parametrize("case", EXPORTED)
def test_an_exported_network_answers_as_the_network_does(case: str, tmp_path: Path) -> None:
    model, path = lived(case), tmp_path / "model.onnx"
    export_onnx(model, path)
    batches = [inputs(case, batch) for batch in (1, 4)]
    assert onnx_difference(model, path, batches) <= TOLERANCE


@every_case
def test_a_template_is_taken_exactly_where_it_is_configured(case: str) -> None:
    model = lived(case)
    *first, _, template = inputs(case, batch=2)
    wrong = first[0] if template is None else None
    with pytest.raises(ConfigError, match="template") as caught:
        model(*first, None, wrong)
    assert caught.value.hint


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name].get("template")])
def test_a_template_matters(case: str) -> None:
    model = lived(case)
    *rest, template = inputs(case)
    assert template is not None
    assert (model(*rest, template) - model(*rest, -template)).abs().max() > 1e-4
