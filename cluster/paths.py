"""What a relative path means, here and inside a Ray job.

A job submitted with `--working-dir` runs in an unpacked copy of that folder, which is another
folder after each edit: data and studies named by a relative path would be lost there. So relative
paths count from $ECGSEARCH_HOME, and inside a job there is no other folder to count from.
"""

import os
from pathlib import Path

from cluster.errors import ClusterError

HOME_VARIABLE = "ECGSEARCH_HOME"

# Ray sets it for a job's driver alone (ray._private.runtime_env.constants).
JOB_CONFIG_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
# Ray unpacks a job's working directory into a folder of this name, and starts its workers there.
_UNPACKED = "working_dir_files"


def inside_job() -> bool:
    """Whether this process belongs to a job of `ray job submit`: its driver, or a worker of it."""
    return JOB_CONFIG_VARIABLE in os.environ or _UNPACKED in Path.cwd().parts


def home() -> Path:
    """The folder that relative paths count from: $ECGSEARCH_HOME, else the current folder.

    Raises ClusterError where $ECGSEARCH_HOME is not absolute, and inside a job without it.
    """
    stated = os.environ.get(HOME_VARIABLE, "")
    if stated:
        if not Path(stated).is_absolute():
            raise ClusterError(
                f"{HOME_VARIABLE} is {stated!r}, which is not an absolute path",
                hint=f"export {HOME_VARIABLE}=/absolute/path; it means the same folder everywhere",
            )
        return Path(stated)
    if inside_job():
        raise ClusterError(
            "inside a Ray job there is no folder for relative paths to count from: the working "
            "directory is a copy that changes with each edit",
            hint=_JOB_HINT,
        )
    return Path.cwd()


def resolve_path(path: str | Path, *, what: str) -> Path:
    """`path` made absolute, with `~` expanded and `..` removed; it need not exist.

    `what` names the path's role in errors ("study folder"). Raises ClusterError like `home`.
    """
    given = Path(path).expanduser()
    if not given.is_absolute():
        if inside_job() and not os.environ.get(HOME_VARIABLE):
            raise ClusterError(
                f"{what} {str(path)!r} is relative, and inside a Ray job the working directory is "
                "a copy that changes with each edit",
                hint=_JOB_HINT,
            )
        given = home() / given
    # Not Path.resolve(): a link into a shared mount should stay the name the user gave.
    return Path(os.path.normpath(given))


def resolve_location(location: str, *, what: str) -> str:
    """An address (s3://bucket/folder) as it is; anything else is a path, made absolute.

    Raises ClusterError like `home`.
    """
    return location if "://" in location else str(resolve_path(location, what=what))


_JOB_HINT = (
    "give an absolute path, or submit with "
    f'--runtime-env-json \'{{"env_vars": {{"{HOME_VARIABLE}": "/shared/folder"}}}}\''
)
