"""Nothing that is read can run code: no pickle, and torch loads weights only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted(
    file
    for package in ("ecgmodels", "spaces", "search", "cluster")
    for file in (ROOT / package).rglob("*.py")
)
LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
READING = {"load", "loads", "Unpickler", "open", "dump", "dumps", "Pickler"}


def called(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def offences(source: str) -> list[str]:
    """Return what may unpickle: calls into a pickling module, `torch.load`, `numpy.load`."""
    found = []
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LOADERS:
            found += [
                f"from {node.module} import {name.name}"
                for name in node.names
                if name.name in READING
            ]
    for name, call in called(tree):
        keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
        module, _, function = name.rpartition(".")
        if module.split(".")[0] in LOADERS and function in READING:
            found.append(name)
        if name == "torch.load" and keywords.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if keywords.get("allow_pickle", "False") != "False":
            found.append(f"{name} with allow_pickle")
        if function in ("read_pickle", "to_pickle"):
            found.append(name)
    return found


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 100


def test_no_module_unpickles() -> None:
    found = {file: offences(file.read_text(encoding="utf-8")) for file in FILES}
    assert {str(file.relative_to(ROOT)): each for file, each in found.items() if each} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(f)",
        "from pickle import loads",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import numpy\nnumpy.load(path, allow_pickle=True)",
        "import pandas\npandas.read_pickle(path)",
        "import joblib\njoblib.load(path)",
    ],
)
def test_what_unpickles_is_found(source: str) -> None:
    assert len(offences(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(path, weights_only=True)",
        "import pickle\ntry:\n    f()\nexcept pickle.UnpicklingError:\n    pass",
        "import json\njson.load(file)",
    ],
)
def test_what_does_not_is_left_alone(source: str) -> None:
    assert offences(source) == []
