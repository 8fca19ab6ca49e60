"""File systems behind addresses with a scheme.

pyarrow reads `s3://`, `gs://`, `abfs://`, `hdfs://` and `file://`; other schemes are fsspec's.
Credentials are found the way those libraries find them (environment, profile, role of the
machine). For `s3://`, AWS_REGION and AWS_ENDPOINT_URL_S3 are heeded, and an address may end in
`?region=...&endpoint_override=host:port&scheme=http`.
"""

from __future__ import annotations

import os
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pyarrow as pa
from pyarrow import fs

from ecgmodels.errors import DataError

_PYARROW_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file"})


def open_file_system(address: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an address, and the path there.

    Raises:
        DataError: the scheme is not known, or the file system cannot be reached.
    """
    place, _, query = address.partition("?")
    settings = {name: values[-1] for name, values in parse_qs(query).items()}
    scheme, _, path = place.partition("://")
    if not path.strip("/"):
        raise DataError(f"{address} names no folder", hint="give scheme://bucket/folder")
    try:
        if scheme in _PYARROW_SCHEMES:
            if scheme == "s3":
                settings = _s3_settings() | settings
            quoted = quote(place.rstrip("/"), safe=":/@%+~")
            return fs.FileSystem.from_uri(f"{quoted}?{urlencode(settings)}" if settings else quoted)
        import fsspec

        system, root = fsspec.core.url_to_fs(place.rstrip("/"), **settings)
        return fs.PyFileSystem(fs.FSSpecHandler(system)), root
    except ImportError as error:
        raise DataError(
            f"{shown(address)} cannot be opened: {one_line(error)}",
            hint="pyarrow knows s3, gs, abfs and hdfs; for other schemes install "
            "ecgsearch[remote], and the package that fsspec asks for",
        ) from error
    except (OSError, TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{shown(address)} cannot be opened: {one_line(error)}",
            hint="give scheme://bucket/folder; check the network and the credentials",
        ) from error


def shown(address: str) -> str:
    """Return an address as it may be printed: without settings and secrets."""
    place = address.partition("?")[0].rstrip("/")
    secret = urlsplit(place).netloc.rpartition("@")[0]
    return place.replace(f"{secret}@", "", 1) if ":" in secret else place


def one_line(error: Exception) -> str:
    """Return the message of another library's error, short enough to be part of ours."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _s3_settings() -> dict[str, str]:
    """Return what the environment says of S3, in pyarrow's words, older ones of which ignore it."""
    settings = {}
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        settings["region"] = region
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        settings |= {"endpoint_override": host.rstrip("/"), "scheme": scheme or "https"}
    return settings
