"""Connecting to a Ray cluster, or starting one on this machine for as long as it is needed.

    with connect() as connection:
        print(connection.description)

Signals stay the caller's: no handler is installed here, and a SIGTERM handler of the caller's is
put back after `ray.init` has replaced it. Where the caller has none, Ray's stays while connected:
it raises SystemExit, so that a started Ray is ended. Ray's own processes and workers start with
SIGINT blocked and lead process groups of their own, so a terminal's Ctrl-C, and a SIGTERM for the
caller's whole group, reach the caller alone.
"""

import logging
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray._private import services
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from cluster.errors import ClusterError
from cluster.loopback import environment, loopback_only
from cluster.paths import HOME_VARIABLE, home, inside_job
from cluster.process_group import own_process_groups
from cluster.resources import Capacity, read_capacity
from cluster.temp_dir import short_temp_dir

ADDRESS_VARIABLE = "RAY_ADDRESS"
CACHE_VARIABLE = "ECGSEARCH_CACHE"

# Data travels through files and memory maps, so Ray's own store stays small (its least is 75 MiB).
OBJECT_STORE_BYTES = 100_000_000
PROBE_SECONDS = 3.0
# So long this process waits for Ray's control service when that has died, and then exits. Ray's
# default of a minute is for one that may come back; the one started here does not.
_WITHOUT_HEAD = {"RAY_gcs_rpc_server_reconnect_timeout_s": "20"}
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A cluster this process is connected to."""

    address: str
    """host:port of its control service."""
    local: bool
    """Whether it was started here, and ends with the connection."""
    capacity: Capacity
    description: str
    """One line for the user: what this is connected to, and how large it is."""


@contextmanager
def connect(
    address: str | None = None, *, cpus: int | None = None, gpus: int | None = None
) -> Iterator[Connection]:
    """Connects to `address`, else to $RAY_ADDRESS, else to a Ray started here and ended on leaving.

    `address` is host:port, "auto" (the cluster this machine last started or joined) or "local"
    (start one whatever $RAY_ADDRESS says). `cpus` and `gpus` limit a started cluster; by default
    it has what the machine has.

    Raises ClusterError where this process is connected already, nothing answers at the address,
    or a limit is given for a cluster that exists.
    """
    if ray.is_initialized():
        raise ClusterError(
            "this process is connected to a Ray cluster already",
            hint="leave the first connect() before entering another",
        )
    address = address or os.environ.get(ADDRESS_VARIABLE) or "local"
    if address != "local" and (cpus is not None or gpus is not None):
        raise ClusterError(
            f"a number of CPUs or GPUs was given, but the cluster at {address} exists already",
            hint=f"leave the numbers out, or unset {ADDRESS_VARIABLE} to start a Ray of this size",
        )
    with ExitStack() as stack:
        if address == "local":
            _start(stack, cpus, gpus)
        else:
            _attach(stack, address)
        yield _connection(local=address == "local")


def _start(stack: ExitStack, cpus: int | None, gpus: int | None) -> None:
    """Starts Ray on this machine; what it needs is undone by the stack."""
    temp_dir = stack.enter_context(short_temp_dir())
    stack.enter_context(loopback_only())
    # Workers inherit the environment and the current folder, so they import what the caller can.
    stack.enter_context(environment({"RAY_USAGE_STATS_ENABLED": "0", **_WITHOUT_HEAD}))
    stack.enter_context(_own_token())
    with own_process_groups():
        _init(
            stack,
            address="local",
            num_cpus=cpus,
            num_gpus=gpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(temp_dir),
        )


def _attach(stack: ExitStack, address: str) -> None:
    """Connects to a cluster that exists; leaving disconnects and stops nothing."""
    if "://" in address:
        raise ClusterError(
            f"{address} is not the address of a cluster's control service",
            hint="give host:port as `ray start` printed it, or send the work there with "
            "`ray job submit --address http://HOST:8265`",
        )
    host, port = _parse(_find() if address == "auto" else address)
    if not _answers(_seen_from_network(host), port):
        if host not in _LOOPBACK_HOSTS or not _answers(host, port):
            raise ClusterError(
                f"no Ray cluster answers at {address}",
                hint=f"start it, correct the address, or unset {ADDRESS_VARIABLE} to run on this "
                "machine",
            )
        # A head that listens on loopback alone; Ray would look for it at the network's address.
        stack.enter_context(loopback_only())
    _reread_token_settings()
    _init(stack, address=f"{host}:{port}", runtime_env=_settings_for_workers())


def _init(stack: ExitStack, **options: Any) -> None:
    """`ray.init` without its chatter."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise ClusterError(
            f"cannot connect to the Ray cluster at {options['address']}: "
            f"{str(error).splitlines()[0]}",
            hint="where the cluster asks for a token, set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH to the file that holds it",
        ) from error
    finally:
        rays = signal.getsignal(signal.SIGTERM)
        if before is signal.SIG_DFL:
            stack.callback(_replace_sigterm, rays, before)
        else:
            _replace_sigterm(rays, before)
    stack.callback(ray.shutdown)


def _replace_sigterm(current: Any, following: Any) -> None:
    """Sets the handler of SIGTERM, unless it is no longer `current`: the caller's choice counts."""
    if current is not following and signal.getsignal(signal.SIGTERM) is current:
        signal.signal(signal.SIGTERM, following)


def _connection(*, local: bool) -> Connection:
    address = ray.get_runtime_context().gcs_address
    capacity = read_capacity()
    what = "a local Ray on this machine" if local else f"the Ray cluster at {address}"
    return Connection(
        address=address,
        local=local,
        capacity=capacity,
        description=f"{what} ({capacity})",
    )


@contextmanager
def _own_token() -> Iterator[None]:
    """A token for one cluster, in the environment alone, unless the user has decided on tokens.

    Without one, any user of this machine could run code as this user. Ray would make one by
    default, but keeps it in the home folder, where it changes how later `ray start` behave.
    """
    if "RAY_AUTH_MODE" in os.environ:
        yield
        return
    try:
        with environment({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}):
            _reread_token_settings()
            yield
    finally:
        _reread_token_settings()


def _reread_token_settings() -> None:
    """This process has cached the mode and the token; its children read the environment."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _settings_for_workers() -> dict[str, object] | None:
    """What workers of a cluster started elsewhere must know; a job's workers know it already."""
    if inside_job():
        return None
    names = (CACHE_VARIABLE, "PYTHONPATH")
    values = {name: os.environ[name] for name in names if name in os.environ}
    return {"env_vars": {HOME_VARIABLE: str(home()), **values}}


def _find() -> str:
    try:
        return services.canonicalize_bootstrap_address_or_die("auto")
    except ConnectionError as error:
        raise ClusterError(
            "no Ray cluster runs on this machine",
            hint=f"start one with `ray start --head`, or set {ADDRESS_VARIABLE} to host:port",
        ) from error


def _parse(address: str) -> tuple[str, int]:
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal():
        raise ClusterError(
            f"{address!r} is not the address of a Ray cluster",
            hint="write host:port, such as 10.0.0.5:6379",
        )
    return host, int(port)


def _seen_from_network(host: str) -> str:
    """The host that `ray.init` makes of `host`: loopback becomes the interface's address."""
    return services.resolve_ip_for_localhost(host)


def _answers(host: str, port: int) -> bool:
    """Whether something listens there. Asked first, since `ray.init` retries for minutes."""
    try:
        with socket.create_connection((host.strip("[]"), port), timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False
