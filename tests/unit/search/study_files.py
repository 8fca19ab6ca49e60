"""Study files for tests: the least one, one written down, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.errors import StudyFileError
from search.study_file.reading import StudyFile

LEAST: dict[str, Any] = {"name": "mitdb", "dataset": "data/mitdb"}


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(**changes: Any) -> tuple[str, str]:
    """Return the message and hint that a study with these changes gives; None leaves a key out."""
    values = {key: value for key, value in {**LEAST, **changes}.items() if value is not None}
    with pytest.raises(StudyFileError) as caught:
        StudyFile.from_dict(values, file="study.toml")
    message = str(caught.value)
    assert message.startswith("study.toml: ")
    assert "\n" not in message + caught.value.hint
    return message.removeprefix("study.toml: "), caught.value.hint
