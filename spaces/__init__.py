"""What is searched: parameters, conditions and candidates, over the configs of ecgmodels."""

from spaces.candidate import Candidate
from spaces.errors import CandidateRefused, SpaceError
from spaces.parameters import Choice, Float, Int, Parameter, Trial
from spaces.shape import DataShape
from spaces.space import Space, build_space

__all__ = [
    "Candidate",
    "CandidateRefused",
    "Choice",
    "DataShape",
    "Float",
    "Int",
    "Parameter",
    "Space",
    "SpaceError",
    "Trial",
    "build_space",
]
