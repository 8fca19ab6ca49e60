"""PTB-XL's labels: SCP-ECG statements with likelihoods, and how its tasks group them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecgmodels.data.databases.tables import Row, read_rows

# Of 71 statements 44 are diagnostic, 19 of form, 12 of rhythm; four are diagnostic and of form.
TASKS = ("superclass", "subclass", "diagnostic", "form", "rhythm", "all")
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
"""Normal, myocardial infarction, ST/T change, conduction disturbance, hypertrophy."""

_KINDS = ("diagnostic", "form", "rhythm")
_COLUMNS = ("", *_KINDS, "diagnostic_class", "diagnostic_subclass")  # the first has no name


@dataclass(frozen=True, kw_only=True)
class ScpTask:
    """What each statement means for one task."""

    classes: tuple[str, ...]
    """In the order of scp_statements.csv; superclasses in the customary one."""
    class_of: Mapping[str, str]
    """Statement -> class, for those that the task is about."""
    statements: frozenset[str]
    """All that there are."""
    diagnostic: frozenset[str]
    """Those whose likelihood says something."""

    def labels(self, codes: Mapping[str, float], min_likelihood: float) -> tuple[str, ...]:
        """Return the classes of a recording's statements, in the order of `classes`."""
        found = {
            self.class_of[code]
            for code, likelihood in codes.items()
            if code in self.class_of
            and (likelihood >= min_likelihood or code not in self.diagnostic)
        }
        return tuple(name for name in self.classes if name in found)


def read_scp_task(path: Path, task: str) -> ScpTask:
    """Read scp_statements.csv for one of `TASKS`.

    Raises:
        DataError: the file is missing or not what it must be; names the line.
    """
    class_of: dict[str, str] = {}
    statements: set[str] = set()
    diagnostic: set[str] = set()
    for row in read_rows(path, _COLUMNS):
        code = row.text("")
        if code in statements:
            raise row.wrong("", "each statement once")
        statements.add(code)
        kinds = {kind for kind in _KINDS if row.one_of(kind, {"1.0": True, "1": True})}
        if "diagnostic" in kinds:
            diagnostic.add(code)
        if task == "superclass" and "diagnostic" in kinds:
            superclass = row.one_of("diagnostic_class", {name: name for name in SUPERCLASSES})
            class_of[code] = superclass or row.text("diagnostic_class")
        elif task == "subclass" and "diagnostic" in kinds:
            class_of[code] = row.text("diagnostic_subclass")
        elif task == "all" or task in kinds:
            class_of[code] = code
    classes = tuple(dict.fromkeys(class_of.values()))
    return ScpTask(
        classes=tuple(sorted(classes, key=SUPERCLASSES.index)) if task == "superclass" else classes,
        class_of=class_of,
        statements=frozenset(statements),
        diagnostic=frozenset(diagnostic),
    )


def read_scp_codes(row: Row, task: ScpTask) -> dict[str, float]:
    """Return statement -> likelihood (percent) of a recording, from the Python dict in `scp_codes`.

    Raises:
        DataError: it is no such dict, or has a statement that scp_statements.csv does not.
    """
    wanted = f"a dict like {{'NORM': 100.0}} for recording {row.cells['ecg_id']}"
    try:
        codes = ast.literal_eval(row.text("scp_codes"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise row.wrong("scp_codes", wanted) from error
    if not isinstance(codes, dict):
        raise row.wrong("scp_codes", wanted)
    for code, likelihood in codes.items():
        if code not in task.statements:
            raise row.wrong(
                "scp_codes",
                f"statements of scp_statements.csv for recording {row.cells['ecg_id']}, "
                f"which has no {code!r}",
            )
        if not isinstance(likelihood, int | float) or not 0 <= likelihood <= 100:
            raise row.wrong("scp_codes", f"{wanted}, likelihoods from 0 to 100")
    return {code: float(likelihood) for code, likelihood in codes.items()}
