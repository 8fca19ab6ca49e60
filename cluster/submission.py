"""What a program learns about the Ray job it runs in.

    ray job submit --address http://127.0.0.1:8265 --working-dir . -- python -m program

Inside, $RAY_ADDRESS names the cluster and the workers share the job's working directory, so
`cluster.connect.connect()` needs no argument; `cluster.paths` says what relative paths mean.

`ray job stop` sends SIGTERM and kills after 3 s; a program that needs longer to save its state is
submitted with --runtime-env-json '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "30"}}'.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.paths import JOB_CONFIG_VARIABLE


@dataclass(frozen=True, kw_only=True)
class JobInfo:
    """The job that this process drives."""

    submission_id: str
    """The name that `ray job status|logs|stop` take."""
    metadata: Mapping[str, str]
    """What `--metadata-json` gave, without Ray's own entries."""
    working_dir: Path
    """This job's copy of the submitted folder; another folder after the next edit."""


def job_info() -> JobInfo | None:
    """The job this process drives, or None outside a job and in a job's workers."""
    text = os.environ.get(JOB_CONFIG_VARIABLE)
    if text is None:
        return None
    metadata = json.loads(text)["metadata"]
    submission_id = metadata.pop("job_submission_id")
    metadata.pop("job_name", None)
    return JobInfo(submission_id=submission_id, metadata=metadata, working_dir=Path.cwd())
