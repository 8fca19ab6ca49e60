"""What spaces raises when a range or a space, not the program, is wrong."""

from ecgmodels.errors import ConfigError


class SpaceError(ConfigError):
    """A search space, or a range asked of it, cannot be searched."""


class CandidateRefused(SpaceError):  # noqa: N818 - not a failure: an answer to a proposal
    """A proposal that cannot be built: the search records it as turned down and asks for another.

    A space raises it from `suggest` for a combination that no range of a single parameter can leave
    out.
    """
