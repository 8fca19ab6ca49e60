"""The folder that a dataset goes to: the same one may be there already, another is kept."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from pathlib import Path

from ecgmodels.data.preparation.options import ResolvedOptions
from ecgmodels.data.preparation.staging import Staging
from ecgmodels.data.storage.manifest import MANIFEST_NAME, Manifest, read_manifest
from ecgmodels.data.storage.verification import check_checksums
from ecgmodels.errors import DataError

_log = logging.getLogger(__name__)

_NAMED = 3
"""Options that a message names; a dataset of another task differs in a dozen."""


def check_out(out: Path, database: str, options: ResolvedOptions) -> None:
    """Refuse a folder that holds something else, before hours go into what cannot be written.

    Raises:
        DataError: it is no dataset, or one of another database, task or options.
    """
    if not out.exists():
        return
    if (out / MANIFEST_NAME).is_file():
        present = read_manifest(out)
        before = {"database": present.database, **_flat(present.options)}
        after = {"database": database, **_flat(options)}
        _refuse_other_options(out, before, after)
        return
    if not out.is_dir() or any(out.iterdir()):
        raise DataError(
            f"{out} exists and is not a dataset",
            hint="choose another folder: nothing is ever written over",
        )


def _refuse_other_options(
    out: Path, before: Mapping[str, object], after: Mapping[str, object]
) -> None:
    # `before` may come from a version that had other options.
    names = [*after, *(name for name in before if name not in after)]
    other = [name for name in names if before.get(name) != after.get(name)]
    if not other:
        return
    named = [f"{name} {_shown(before.get(name))} -> {_shown(after.get(name))}" for name in other]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    raise DataError(
        f"{out} holds another dataset, of other options: {'; '.join(named[:_NAMED])}{more}",
        hint="choose another folder, or delete it first",
    )


def _flat(options: ResolvedOptions) -> dict[str, object]:
    """Return the options and, as others, the database's own."""
    values = dict(vars(options))
    return {**values, **values.pop("settings")}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_shown, value)) or "()"
    return f"{value:g}" if isinstance(value, float) else str(value)


def put_into_place(staging: Staging, out: Path, manifest: Manifest) -> None:
    """Move the dataset to where it belongs, unless it is there already.

    Raises:
        DataError: another dataset is there.
    """
    if _is_there(out, manifest):
        return
    try:
        staging.move_into_place()
    except OSError as error:
        # Another process may have put the same dataset there meanwhile.
        taken = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
        if not (taken and _is_there(out, manifest)):
            raise


def _is_there(out: Path, manifest: Manifest) -> bool:
    """Tell whether `out` holds this dataset, whole; raise DataError where it is another one."""
    if not (out / MANIFEST_NAME).is_file():
        return False
    present = read_manifest(out)
    if present.hash != manifest.hash:
        raise DataError(
            f"{out} holds another dataset (hash {present.hash[:12]}, this one "
            f"{manifest.hash[:12]})",
            hint="choose another folder, or delete it first",
        )
    check_checksums(out, [manifest.records, *manifest.shards], remember=False)
    _log.info("%s already holds this dataset (hash %s)", out, present.hash[:12])
    return True
