"""What the kernel of this machine says of processes that it killed for lack of memory."""

from pathlib import Path

_COUNTERS = Path("/proc/vmstat")


def memory_kills() -> int:
    """How many processes the kernel has killed since the machine was started; 0 where it is not
    Linux.

    Counts those that a container's limit was the reason for, too: `oom_kill` in /proc/vmstat
    (https://docs.kernel.org/filesystems/proc.html).
    """
    try:
        lines = _COUNTERS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
