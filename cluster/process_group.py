"""Ray's processes in process groups of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import services


@contextmanager
def own_process_groups() -> Iterator[None]:
    """While inside, whatever of Ray this process starts leads a process group of its own.

    A signal to the caller's group (`timeout`, a batch system) then reaches the caller alone, which
    leaves in order; Ray's control service would be gone at once, and the caller wait for it. When
    the caller dies, Linux ends what it started as before: that hangs on the parent, not the group.
    """
    theirs = services.ConsolePopen

    class LeadingPopen(theirs):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options, process_group=0)

    services.ConsolePopen = LeadingPopen  # type: ignore[misc]
    try:
        yield
    finally:
        services.ConsolePopen = theirs  # type: ignore[misc]
