"""Running targets on generated inputs under limits of time and memory.

Input `number` of a seed is the same whenever and wherever it is made, whatever came before it.
"""

from __future__ import annotations

import resource
import shutil
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from tests.fuzz.databases import DATABASES
from tests.fuzz.mutations import make_annotations, make_header, spoil_bytes, spoil_text
from tests.fuzz.seeds import RECORD, RECORDS, SAMPLES, Files
from tests.fuzz.targets import Attempts, read_database, read_record

LIMIT_S = 2.0
"""Of processor time an input may take."""
LIMIT_BYTES = 2**30
"""Of memory that an input may ask for, on top of what the process has."""

_TEXT_SUFFIXES = {".hea", ".csv", ".txt", ""}


class Hang(BaseException):
    """An input took too long. No `except Exception` of the code at test may hide it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input: files, and what reads them ("record", or "ludb rhythm")."""

    kind: str
    files: Files


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An input on which something other than a refusal happened."""

    number: int
    kind: str
    what: str
    """Last line of the traceback and the place in the code."""
    folder: Path


@dataclass(kw_only=True)
class Outcome:
    """What came of a run."""

    inputs: int = 0
    calls_read: int = 0
    calls_refused: int = 0
    failures: list[Failure] = field(default_factory=list)


def make_case(seed: int, number: int, more_records: Mapping[str, Files] | None = None) -> Case:
    """Return an input: a made-up header or annotation file, or a sound folder with parts spoilt."""
    random = Random(f"{seed} {number}")
    kind = random.choices(
        ["header", "annotations", "record", "database"], weights=[35, 20, 30, 15]
    )[0]
    if kind == "header":
        content = random.randbytes(random.choice([24, 120, 1000, 4 * SAMPLES * 12]))
        files = {f"{RECORD}.dat": content, f"{RECORD}.mat": content}
        return Case(kind="record", files={f"{RECORD}.hea": make_header(random, RECORD), **files})
    if kind == "annotations":
        files = dict(_sound_record("mit-bih"))
        return Case(kind="record", files=files | {f"{RECORD}.atr": make_annotations(random)})
    if kind == "record":
        records = {name: _sound_record(name) for name in RECORDS} | dict(more_records or {})
        return Case(kind="record", files=_spoil(random, records[random.choice(sorted(records))]))
    name = random.choice(sorted(DATABASES))
    task = random.choice(DATABASES[name][1])
    return Case(kind=f"{name} {task}", files=_spoil(random, _sound_database(name)))


def run(
    numbers: range,
    *,
    seed: int,
    failures: Path,
    more_records: Mapping[str, Files] | None = None,
    read: Callable[[Path, str, Attempts], None] | None = None,
) -> Outcome:
    """Read each input of `numbers`; keep those that fail below the folder `failures`.

    Args:
        numbers: which inputs of the seed.
        seed: of all of them.
        failures: one folder an input is made in it, with its files and the traceback.
        more_records: sound records to spoil, beside the made-up ones.
        read: takes a folder, a case's kind and `Attempts`; None: what the kind says.
    """
    outcome = Outcome()
    attempts = Attempts()
    with tempfile.TemporaryDirectory() as scratch, _limits():
        for number in numbers:
            case = make_case(seed, number, more_records)
            folder = Path(scratch) / "input"
            _write(folder, case.files)
            problem = _problem(read or _read, folder, case.kind, attempts)
            if problem is not None:
                kept = failures / f"seed-{seed}-input-{number}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(folder, kept)
                (kept / "traceback.txt").write_text(problem, encoding="utf-8", errors="replace")
                outcome.failures.append(
                    Failure(number=number, kind=case.kind, what=_summary(problem), folder=kept)
                )
            shutil.rmtree(folder)
            outcome.inputs += 1
    outcome.calls_read, outcome.calls_refused = attempts.read, attempts.refused
    return outcome


def _read(folder: Path, kind: str, attempts: Attempts) -> None:
    if kind == "record":
        read_record(folder, RECORD, attempts)
    else:
        read_database(folder, *kind.split(" "), attempts)


def _problem(
    read: Callable[[Path, str, Attempts], None], folder: Path, kind: str, attempts: Attempts
) -> str | None:
    """Return the traceback of whatever escaped, None where nothing did."""
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # as of an overflow that goes on with wrong numbers
            read(folder, kind, attempts)
    except (Exception, Hang):
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


@contextmanager
def _limits() -> Iterator[None]:
    """Limit the memory of this process, and turn the profiling timer's signal into `Hang`."""

    def hang(_signal: int, _frame: object) -> None:
        raise Hang(f"more than {LIMIT_S:g} s of processor time")

    handler = signal.signal(signal.SIGPROF, hang)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = _address_space_bytes()
    if in_use is not None:
        resource.setrlimit(resource.RLIMIT_AS, (in_use + LIMIT_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, handler)


def _address_space_bytes() -> int | None:
    statistics = Path("/proc/self/statm")
    if not statistics.is_file():  # only Linux says; elsewhere the limit of time must do
        return None
    return int(statistics.read_text().split()[0]) * resource.getpagesize()


@cache
def _sound_record(name: str) -> Files:
    return RECORDS[name]()


@cache
def _sound_database(name: str) -> Files:
    return DATABASES[name][0]()


def _spoil(random: Random, sound: Files) -> Files:
    """Return the files with one to three of them spoilt, now and then one missing."""
    files = dict(sound)
    for name in random.sample(sorted(files), k=min(len(files), random.choice([1, 1, 1, 2, 3]))):
        is_text = Path(name).suffix in _TEXT_SUFFIXES
        if random.random() < 0.03:
            del files[name]
        elif is_text and random.random() < 0.85:
            files[name] = spoil_text(random, files[name])
        else:
            files[name] = spoil_bytes(random, files[name])
    return files


def _write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folder.mkdir(exist_ok=True)


def _summary(problem: str) -> str:
    lines = problem.strip().splitlines()
    places = [line.strip() for line in lines if line.strip().startswith("File ")]
    own = [place for place in places if "ecgmodels" in place] or places
    return f"{lines[-1][:200]}  ({own[-1]})"
