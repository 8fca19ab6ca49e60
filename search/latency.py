"""Latency as a cost: measured once for an architecture on a named device, and remembered in a file.

A candidate's latency is one of its costs from its admission on and never changes again. Thanks to
the file, a network that comes again with another learning rate is not measured again, and neither
is a proposal that a killed driver measured without writing it down.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgmodels.configs import Config
from ecgmodels.files import write_atomically
from ecgmodels.models.registry import resolve
from search.errors import StudyError

if TYPE_CHECKING:
    from ecgmodels.inference.steady_latency import Device, Runtime
    from ecgmodels.models.base import ModelConfig

LATENCY_COST = "latency_ms"
"""The cost's name: milliseconds for one segment, from its inputs in memory to its logits."""
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class LatencySettings(Config):
    """What is measured, and where that is remembered."""

    name: str
    """What people call the machine that measures: figures of one name compare."""
    device: Device = "cpu"
    runtime: Runtime = "onnx"
    threads: int = 1
    cache: str
    """Path of the file: JSON, latencies by the device's name and the architecture's hash."""


class LatencyMeter:
    """Measures architectures on this machine, each once."""

    def __init__(self, settings: LatencySettings) -> None:
        self.settings = settings

    def require_usable(self) -> None:
        """Check that this machine can measure, and that it is the one that measured before.

        Raises:
            ECGModelsError: a package or the device is missing.
            StudyError: the file is damaged, or its figures come from something else.
        """
        from ecgmodels.inference.steady_latency import require_measurable

        require_measurable(self.settings.runtime, self.settings.device)
        self._known  # noqa: B018 (reading the file checks it)

    def latency_ms(self, config: ModelConfig) -> float:
        """Return the network's latency; what was not measured before takes seconds.

        Raises:
            ECGModelsError: the network cannot be exported.
            StudyError: as `require_usable`.
        """
        from ecgmodels.inference.steady_latency import steady_latency_ms

        architecture = architecture_hash(config)
        if architecture not in self._known:
            measured_ms = steady_latency_ms(
                config,
                runtime=self.settings.runtime,
                device=self.settings.device,
                threads=self.settings.threads,
            )
            self._known[architecture] = float(f"{measured_ms:.4g}")  # it is no better known
            self._write()
        return self._known[architecture]

    @cached_property
    def _known(self) -> dict[str, float]:
        """This device's latencies by architecture."""
        found = self._read().get(self.settings.name)
        if found is None:
            return {}
        for what, value in self._conditions.items():
            if found[what] != value:
                raise StudyError(
                    f"latencies of '{self.settings.name}' in {self._path} were measured with "
                    f"{what} {found[what]}, and {what} is {value} here",
                    hint="go on with the study on the machine and with the packages it was begun "
                    "with, or begin a new study with another latency.name",
                )
        return dict(found[LATENCY_COST])

    @cached_property
    def _conditions(self) -> dict[str, Any]:
        from ecgmodels.inference.steady_latency import device_model

        settings = self.settings
        return {
            "device": settings.device,
            "runtime": settings.runtime,
            "threads": settings.threads,
            "processor": device_model(settings.device),
        }

    def _read(self) -> dict[str, Any]:
        """Return what the file holds of each device."""
        if not self._path.exists():
            return {}
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            devices: dict[str, Any] = content["devices"]
            for device in devices.values():
                assert {*self._conditions, LATENCY_COST} <= set(device)
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            raise StudyError(
                f"{self._path} does not hold latencies",
                hint="remove it: what is asked for again is measured again",
            ) from error
        return devices

    def _write(self) -> None:
        devices = self._read()
        devices[self.settings.name] = {**self._conditions, LATENCY_COST: self._known}
        text = json.dumps({"format": _FORMAT, "devices": devices}, indent=1)
        write_atomically(self._path, (text + "\n").encode())

    @property
    def _path(self) -> Path:
        return Path(self.settings.cache)


def architecture_hash(config: ModelConfig) -> str:
    """Return what identifies a network whatever its weights: 20 hexadecimal digits of a SHA-256."""
    identity = {"family": config.model, "plan": resolve(config).to_dict()}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]
