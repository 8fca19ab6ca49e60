"""A study opens in optuna-dashboard as it is, while nothing of ours runs."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Searched
from .ray_head import end_session, free_ports

pytestmark = pytest.mark.slow

Fetch = Callable[[str], bytes]


@pytest.fixture(scope="module")
def dashboard(searched: Searched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetch]:
    """`optuna-dashboard JOURNAL` on loopback; fetches a page of it."""
    port = free_ports(1)[0]
    log = tmp_path_factory.mktemp("dashboard") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("optuna-dashboard")),
                *("--host", "127.0.0.1", "--port", str(port), str(searched.study.journal)),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def fetch(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as reply:
            return reply.read()

    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                fetch("/api/meta")
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        yield fetch
    finally:
        end_session(process.pid)
        process.wait()


def _of(fetch: Fetch, path: str) -> Any:
    return json.loads(fetch(path))


def test_the_page_and_its_program_are_served(dashboard: Fetch):
    assert b"<title>" in dashboard("/dashboard")


def test_the_study_is_listed_under_its_name(dashboard: Fetch):
    (study,) = _of(dashboard, "/api/studies")["study_summaries"]
    assert study["study_name"] == "ecg"
    assert study["directions"] == ["maximize", "minimize"]


def test_objectives_trials_and_states_are_those_of_the_search(dashboard: Fetch, searched: Searched):
    (study,) = _of(dashboard, "/api/studies")["study_summaries"]
    detail = _of(dashboard, f"/api/studies/{study['study_id']}")
    assert detail["objective_names"] == ["mean_f1", "log10_parameters"]
    states = Counter(trial["state"] for trial in detail["trials"])
    assert set(states) == {"Complete", "Pruned"}
    assert sum(states.values()) == len(searched.study.load().trials)
    for trial in detail["trials"]:
        expected = searched.study.load().trials[trial["number"]]
        assert trial["state"].upper() == expected.state.name
        if trial["state"] == "Complete":
            assert [float(value) for value in trial["values"]] == expected.values
        shown = {param["name"] for param in trial["params"]}
        assert shown == set(expected.params)


def test_a_trials_attributes_say_what_it_was_and_how_far_it_came(dashboard: Fetch):
    (study,) = _of(dashboard, "/api/studies")["study_summaries"]
    trial = _of(dashboard, f"/api/studies/{study['study_id']}")["trials"][0]
    shown = {attribute["key"] for attribute in trial["user_attrs"]}
    assert {"phase", "key", "candidate", "costs", "epoch:1"} <= shown
