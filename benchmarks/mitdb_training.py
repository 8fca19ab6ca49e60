"""Trains one configuration after another in a process of its own, on one thread.

A worker is told numbers through a pipe and answers with curves. It ends with the process that
started it, however that ends, and leaves Ctrl-C to it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import statistics
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from mitdb_protocol import SPLIT, Configuration, CurveProtocol, chosen_beats
from mitdb_table import METRICS, LearningCurve

from ecgmodels import TrainingData, TrainingError, fit
from ecgmodels.data import open_dataset

_ENDING_S = 10.0


def learning_curves(
    dataset: str, protocol: CurveProtocol, wanted: Sequence[Configuration], *, jobs: int
) -> Generator[LearningCurve, None, None]:
    """Yield the curves of the configurations as they are done, `jobs` at a time.

    Closing the iterator ends all workers at once.

    Raises:
        RuntimeError: a worker met something unforeseen, or was killed.
    """
    waiting = iter(wanted)
    with ExitStack() as stack:
        busy: dict[Connection, Configuration] = {}
        for configuration in itertools.islice(waiting, jobs):
            connection = stack.enter_context(_worker(dataset, protocol))
            connection.send(configuration)
            busy[connection] = configuration
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                done = busy.pop(ready)
                yield _answer(ready, done)
                following = next(waiting, None)
                if following is not None:
                    ready.send(following)
                    busy[ready] = following


@contextmanager
def _worker(dataset: str, protocol: CurveProtocol) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, dataset, protocol), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        _end(process)
        ours.close()


def _end(process: BaseProcess) -> None:
    process.terminate()
    process.join(_ENDING_S)
    if process.is_alive():
        process.kill()
        process.join()


def _answer(connection: Connection, configuration: Configuration) -> LearningCurve:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionError):
        raise RuntimeError(
            f"the process that trained configuration {configuration.number} "
            f"({configuration.parameters:,} parameters) was killed; was there enough memory?"
        ) from None
    if isinstance(answer, str):
        raise RuntimeError(f"configuration {configuration.number} failed:\n{answer}")
    assert isinstance(answer, LearningCurve)
    return answer


def _work(connection: Connection, dataset: str, protocol: CurveProtocol) -> None:
    """Be a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        data = _data(dataset, protocol)
        while True:
            connection.send(train(connection.recv(), data))
    except (EOFError, ConnectionError):  # nobody listens any more
        return
    except Exception:
        connection.send(traceback.format_exc())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _data(dataset: str, protocol: CurveProtocol) -> TrainingData:
    whole = open_dataset(dataset)
    train, validation = whole.development(SPLIT)
    common, seed = whole.classes.index("N"), protocol.seed
    return replace(
        TrainingData.of(whole, SPLIT),
        train=chosen_beats(train, common, protocol.train_beats, seed),
        validation=chosen_beats(validation, common, protocol.validation_beats, seed),
    )


def train(configuration: Configuration, data: TrainingData) -> LearningCurve:
    """Return the curve of one training, whose seed is the configuration's number.

    A training that cannot go on (a loss that is not finite) ends its curve, with the cause.
    """
    metrics: dict[str, list[float]] = {name: [] for name in METRICS}
    seconds: list[float] = []
    failure = None
    epochs = fit(
        configuration.candidate.model,
        configuration.candidate.training,
        data,
        seed=configuration.number,
        threads=1,
    )
    try:
        for epoch in epochs:
            seconds.append(epoch.seconds)
            for name in METRICS:
                metrics[name].append(epoch.metrics[name])
    except TrainingError as error:
        failure = str(error)
    return LearningCurve(
        number=configuration.number,
        key=configuration.key,
        parameters=configuration.parameters,
        macs=configuration.macs,
        params=configuration.params,
        epoch_s=statistics.median(seconds) if seconds else None,
        failure=failure,
        metrics=metrics,
    )
