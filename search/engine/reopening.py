"""Which candidates of a study that ended can be taken up again, now that it goes on.

Whatever waits when a search ends is stopped for good: nothing is left running. When the study is
extended, those whose training state is still there may be promoted after all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from search.errors import StudyError
from search.problem import Problem, candidate_resources, rebuild_candidate
from search.study.records import CandidateRecord, Phase
from search.study.study import Study


def reopenable(
    study: Study, problem: Problem, can_go_on: Callable[[CandidateRecord], bool]
) -> Iterator[CandidateRecord]:
    """Yield the stopped candidates that can go on, as they stand once they are taken up again.

    One that never started needs no checkpoint. One of which hope was given up stays stopped, and so
    does one that today's code would build otherwise: its results and those to come would be of two
    candidates.

    Args:
        can_go_on: whether the training state of a candidate with results is still there.
    """
    for record in study.records.values():
        if record.phase is not Phase.STOPPED or record.imported is not None:
            continue
        if record.abandoned:
            continue
        if record.curve and not can_go_on(record):
            continue
        try:
            candidate = rebuild_candidate(problem, record.params, record.key)
        except StudyError:
            continue
        yield dataclasses.replace(
            record,
            phase=Phase.PAUSED if record.attempt else Phase.QUEUED,
            resources=candidate_resources(problem, candidate),
        )
