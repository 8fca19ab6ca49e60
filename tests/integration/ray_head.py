"""A real Ray head for tests: on loopback, in a process session of its own, gone without a trace.

`ray stop` ends every Ray of the machine's user, so it is never used: a head is ended by the id of
the session it was started in.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.loopback import environment, loopback_only

OBJECT_STORE_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class RayHead:
    """A running head: `env` is the whole environment of a process that is to reach it."""

    address: str
    dashboard_url: str
    env: Mapping[str, str]
    temp_dir: Path

    def submit(
        self, working_dir: Path, *entrypoint: str, runtime_env_json: str = "{}"
    ) -> subprocess.CompletedProcess[str]:
        """`ray job submit` of a folder, waited for; its output holds the driver's."""
        return subprocess.run(
            [
                *ray_command("job", "submit", "--address", self.dashboard_url),
                *("--working-dir", str(working_dir), "--runtime-env-json", runtime_env_json),
                *("--", *entrypoint),
            ],
            env=dict(self.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )


@contextmanager
def start_head(*, cpus: int = 2) -> Iterator[RayHead]:
    """Starts `ray start --head` with the dashboard; on leaving, nothing of it survives.

    Tokens are off and HOME is an empty folder, so a token in the user's home changes nothing.
    """
    # Ray's socket names must stay under 107 bytes: too little room for pytest's tmp_path.
    temp_dir = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    home = temp_dir / "home"
    home.mkdir()
    ports = free_ports(6)
    env = {name: value for name, value in os.environ.items() if not _steers_ray(name)}
    env |= {
        "HOME": str(home),
        # A job's entrypoint says `python`, and means the interpreter of the head.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Off, Ray binds to loopback alone; a node address of 127.0.0.1 by itself does not do that.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "AUTOSCALER_METRIC_PORT": str(ports[4]),
        "DASHBOARD_METRIC_PORT": str(ports[5]),
    }
    start = subprocess.Popen(
        ray_command(
            *("start", "--head", "--port", str(ports[0]), "--disable-usage-stats"),
            *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(ports[1])),
            # The agent takes submissions; on the default port it would meet other heads' agents.
            *("--dashboard-agent-listen-port", str(ports[2])),
            *("--ray-client-server-port", str(ports[3])),
            *("--num-cpus", str(cpus), "--num-gpus", "0"),
            *("--object-store-memory", str(OBJECT_STORE_BYTES), "--temp-dir", str(temp_dir)),
        ),
        env=env,
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=(home / "start.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        if start.wait(timeout=60) != 0:
            raise RuntimeError(f"ray start failed: {(home / 'start.log').read_text()}")
        yield RayHead(
            address=f"127.0.0.1:{ports[0]}",
            dashboard_url=f"http://127.0.0.1:{ports[1]}",
            env=env,
            temp_dir=temp_dir,
        )
    finally:
        end_session(start.pid)
        shutil.rmtree(temp_dir, ignore_errors=True)


class Nodes:
    """A cluster of several raylets in this process's care."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._nodes: list[Any] = []

    @property
    def address(self) -> str:
        return self._cluster.address

    def add(self, cpus: int, **options: Any) -> None:
        """Start one more node; the first one is the head."""
        node = self._cluster.add_node(
            num_cpus=cpus,
            num_gpus=0,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            dashboard_agent_listen_port=0,
            **options,
        )
        self._nodes.append(node)

    def kill_last(self) -> None:
        """SIGKILL to the node that was added last; its workers go with it."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)


@contextmanager
def start_nodes(*cpus: int) -> Iterator[str]:
    """Starts a cluster of several nodes; gives its address."""
    with start_cluster(*cpus) as nodes:
        yield nodes.address


@contextmanager
def start_cluster(*cpus: int, **system_config: Any) -> Iterator[Nodes]:
    """Starts a cluster of several nodes that can come and go.

    Quicker and smaller than a head (2 s, and 1 s for each further node), without job submission.
    """
    from ray.cluster_utils import Cluster

    temp_dir = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    # Else the address is left where every `address="auto"` of this machine looks first.
    settings = {"RAY_TMPDIR": str(temp_dir), "RAY_USAGE_STATS_ENABLED": "0"}
    with environment(settings), loopback_only():
        cluster = Cluster()
        nodes = Nodes(cluster)
        try:
            for number, count in enumerate(cpus):
                # All nodes take the settings of the first.
                settings = {"_system_config": system_config} if system_config and not number else {}
                nodes.add(count, **settings)
            yield nodes
        finally:
            cluster.shutdown()
            shutil.rmtree(temp_dir, ignore_errors=True)


def ray_command(*arguments: str) -> list[str]:
    """The `ray` command line of this interpreter."""
    return [sys.executable, "-m", "ray.scripts.scripts", *arguments]


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports that are free on loopback now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def end_session(session: int) -> None:
    """Kills the processes of a session and their descendants, and waits until they are gone.

    Descendants too, because a job's driver runs in a session of its own.
    """
    deadline = time.monotonic() + 20
    while members := session_members(session):
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {sorted(members)} do not end")
        time.sleep(0.05)


def session_members(session: int) -> set[int]:
    """Living processes of a session, with all their descendants."""
    table = _process_table()
    members = {pid for pid, (_, owner) in table.items() if owner == session}
    return members | _descendants(members, table)


def living_children() -> set[int]:
    """Living processes that this one has started, and those that they have started."""
    return _descendants({os.getpid()}, _process_table())


def living(processes: set[int]) -> set[int]:
    """Those of the processes that have not ended."""
    return processes & set(_process_table())


def listening_beyond_loopback(processes: set[int]) -> list[str]:
    """Addresses, as /proc/net/tcp writes them, where these processes accept the network."""
    sockets = {link for pid in processes for link in _open_sockets(pid)}
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, state, inode = fields[1], fields[3], fields[9]
            host = address.partition(":")[0]
            # 127.0.0.1, alone or mapped into IPv6, and ::1; bytes of each word are reversed.
            on_loopback = host.endswith("0100007F") or host == "0" * 24 + "01000000"
            if state == "0A" and f"socket:[{inode}]" in sockets and not on_loopback:
                found.append(address)
    return found


def _open_sockets(pid: int) -> set[str]:
    links = set()
    for entry in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):  # closed, or the process has ended
            links.add(os.readlink(entry))
    return {link for link in links if link.startswith("socket:")}


def _descendants(ancestors: set[int], table: Mapping[int, tuple[int, int]]) -> set[int]:
    found: set[int] = set()
    while (
        more := {pid for pid, (parent, _) in table.items() if parent in ancestors | found} - found
    ):
        found |= more
    return found


def _process_table() -> dict[int, tuple[int, int]]:
    """Process id -> (parent's id, session id), zombies left out."""
    table = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:  # it ended meanwhile
            continue
        # The command's name is in parentheses and may hold spaces.
        state, parent, _, session = text.rpartition(")")[2].split()[:4]
        if state != "Z":
            table[int(entry.parent.name)] = (int(parent), int(session))
    return table


def _steers_ray(name: str) -> bool:
    return name.startswith(("RAY_", "ECGSEARCH_"))
