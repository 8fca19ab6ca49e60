"""EfficientECG configurations drawn at random over everything that the family varies."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from ecgmodels import EfficientECGConfig
from ecgmodels.models.efficientecg.bases import BASES, placement_names
from ecgmodels.models.efficientecg.config import (
    STEM_STRIDES,
    Activation,
    Direction,
)

FEATURES = ("age", "sex", "rr_previous_s", "rr_ratio")


@st.composite
def configs(draw: st.DrawFn, *, small: bool = False) -> EfficientECGConfig:
    """Draw a configuration that is valid; `small` ones run in milliseconds."""
    base = draw(st.sampled_from(["tiny"] if small else ["tiny", "tiny", "small", "b0"]))
    stages = draw(st.none() | st.integers(1, len(BASES[base].stages)))
    places = placement_names(base, stages)
    leads = draw(st.integers(1, 3 if small else 12))
    leads_fused = draw(st.sampled_from(["input", *places])) if leads > 1 else "input"
    fusion = draw(st.sampled_from(["none", "concat", "attention", "attention"]))
    options: dict[str, Any] = {}
    if fusion != "none":
        options["features"] = FEATURES[: draw(st.integers(1, len(FEATURES)))]
    if fusion == "attention":
        allowed = places[places.index(leads_fused) :] if leads_fused != "input" else places
        options["placements"] = tuple(draw(st.sets(st.sampled_from(allowed), min_size=1)))
        options["direction"] = draw(st.sampled_from(get_args(Direction)))
    if fusion == "attention" or leads_fused != "input":
        options["heads"] = draw(st.integers(1, 4))
        options["attention_width"] = draw(st.integers(1, 40))
    if stages != 1:
        options["expansion"] = draw(st.none() | st.integers(1, 4))
    most = 1.0 if small or base == "b0" else 2.0
    return EfficientECGConfig(
        base=base,
        stages=stages,
        leads=leads,
        template=draw(st.booleans()),
        samples=draw(st.integers(20, 100 if small else 400)),
        classes=draw(st.integers(2, 30)),
        depth=draw(st.floats(0.3, most)),
        width=draw(st.floats(0.2, most)),
        resolution=draw(st.just(1.0) | st.floats(0.4, 2.0)),
        kernel_scale=draw(st.floats(0.5, 3.0)),
        squeeze_ratio=draw(st.floats(0.01, 1.0)),
        activation=draw(st.sampled_from(get_args(Activation))),
        stem_stride=draw(st.sampled_from(STEM_STRIDES)),
        leads_fused=leads_fused,
        fusion=fusion,
        **options,
    )
