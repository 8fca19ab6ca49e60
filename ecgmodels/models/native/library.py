"""Kernels in C, compiled on the machine that runs them and kept for the next process.

Nothing needs them: where there is no C compiler, or the environment variable ECGMODELS_KERNELS is
"off", torch's own operations do the same, in about one and a half times the time.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_SOURCES = Path(__file__).parent
_FLAGS = (
    "-O3",
    "-march=native",
    "-fopenmp",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-shared",
    "-fPIC",
    *(("-mprefer-vector-width=512",) if platform.machine() == "x86_64" else ()),
)
_COMPILATION_S = 120.0

_TYPES = {"p": ctypes.c_void_p, "i": ctypes.c_int, "c": ctypes.c_int64, "f": ctypes.c_float}
# The functions' arguments after the number of threads: p pointer, i int, c count, f float.
_ARGUMENTS = {
    "norm_statistics": "pp ccc ppffppp p",
    "norm_forward": "i pp ccc ppffppp ppp",
    "norm_backward": "i ppp ccc pppp",
    "depthwise_forward": "i pp ccc pp ic i ppffppp pc ppp",
    "depthwise_backward": "i ppppp pc ppp i pp ccc pp ic pppp",
    "excite_forward": "i pp ccc ppp",
    "excite_backward": "i ppp ccc ppp",
}

Kernel = Callable[..., None]


class Kernels:
    """The functions of the C sources, computing with as many threads as torch does.

    Each takes contiguous tensors where its C function takes pointers, or None for NULL.
    """

    norm_statistics: Kernel
    norm_forward: Kernel
    norm_backward: Kernel
    depthwise_forward: Kernel
    depthwise_backward: Kernel
    excite_forward: Kernel
    excite_backward: Kernel

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, name)
            function.argtypes = [_TYPES[kind] for kind in "i" + arguments.replace(" ", "")]
            function.restype = None
            setattr(self, name, _taking_tensors(function))


def _taking_tensors(function: Any) -> Kernel:
    def kernel(*arguments: Any) -> None:
        function(
            torch.get_num_threads(),
            *[x.data_ptr() if isinstance(x, Tensor) else x for x in arguments],
        )

    return kernel


@functools.cache
def kernels() -> Kernels | None:
    """Return the kernels, compiled if they were not yet; None where they cannot be had."""
    if os.environ.get("ECGMODELS_KERNELS") == "off" or platform.system() != "Linux":
        return None
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    try:
        return Kernels(_compiled(compiler))
    except (OSError, RuntimeError, subprocess.SubprocessError, AttributeError) as error:
        warnings.warn(
            f"training goes without compiled kernels, and slower: {compiler} failed ({error})",
            stacklevel=2,
        )
        return None


def _compiled(compiler: str) -> Path:
    """Return the shared object of these sources, this compiler and this processor."""
    sources = sorted(_SOURCES.glob("*.[ch]"))
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    made_of = [source.read_bytes() for source in sources]
    made_of += [version, _processor(), repr((_FLAGS, _openmp())).encode()]
    key = hashlib.sha256(b"\0".join(made_of)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ecgmodels"
    target = cache / f"kernels-{key}.so"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch) / target.name
            units = [str(source) for source in sources if source.suffix == ".c"]
            command = [compiler, *_FLAGS, *units, *_openmp(), "-lm", "-o", str(made)]
            subprocess.run(command, capture_output=True, check=True, timeout=_COMPILATION_S)
            made.replace(target)  # several processes may be doing this
    return target


def _processor() -> bytes:
    """Return what "native" depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    return b"\n".join(sorted({line for line in lines if line[:5] in (b"flags", b"Featu")}))


def _openmp() -> list[str]:
    """Return torch's own OpenMP runtime, so that both share one pool of threads."""
    return [str(path) for path in sorted(Path(torch.__file__).parent.glob("lib/libgomp*"))[:1]]
