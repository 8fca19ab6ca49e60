"""Ray on loopback alone, so that nothing on the network can reach a cluster of one machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray._private.ray_constants as ray_constants

# Named for the systems where Ray has no clusters; off, Ray binds 127.0.0.1 on every system. A node
# address of 127.0.0.1 alone is rewritten to the network interface's, with everything listening.
LOOPBACK_VARIABLE = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR


@contextmanager
def loopback_only() -> Iterator[None]:
    """While inside, Ray started or reached by this process and its children uses 127.0.0.1."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    with environment({LOOPBACK_VARIABLE: "0"}):
        # Ray has read the variable when it was imported; children read it themselves.
        ray_constants.ENABLE_RAY_CLUSTER = False
        try:
            yield
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables, and puts back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
