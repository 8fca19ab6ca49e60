"""How WFDB packs samples into bytes: https://wfdb.io/spec/signal-files.html.

Each decoder takes uint8 [bytes], padded to whole blocks, and gives the integers in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.signedinteger[Any]]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class SampleFormat:
    """One way of packing samples."""

    decode: Callable[[Bytes], Integers]
    invalid: int | None
    """The value that stands for an invalid sample; None where the format has none."""
    tail_bytes: tuple[int, ...]
    """Bytes that 0, 1, 2 ... samples take at the end of a file, short of a whole block."""
    block_bytes: int

    @property
    def block_samples(self) -> int:
        """Samples in a block."""
        return len(self.tail_bytes)

    def bytes_for(self, samples: int) -> int:
        """Return how many bytes so many samples take."""
        blocks, rest = divmod(samples, self.block_samples)
        return blocks * self.block_bytes + self.tail_bytes[rest]

    def samples_in(self, size: int) -> int:
        """Return how many whole samples so many bytes hold."""
        blocks, rest = divmod(size, self.block_bytes)
        tail = max(n for n, needed in enumerate(self.tail_bytes) if needed <= rest)
        return blocks * self.block_samples + tail

    def unpack(self, content: Bytes, samples: int) -> Integers:
        """Return the first `samples` samples of `content`, which holds at least so many."""
        padding = -len(content) % self.block_bytes
        if padding:
            content = np.concatenate([content, np.zeros(padding, np.uint8)])
        return self.decode(content)[:samples]


def _decode_8(content: Bytes) -> Integers:
    """First differences; the reader sums them up, signal by signal."""
    return content.view(np.int8)


def _decode_16(content: Bytes) -> Integers:
    return content.view("<i2")


def _decode_24(content: Bytes) -> Integers:
    samples = np.zeros((len(content) // 3, 4), np.uint8)
    samples[:, 1:] = content.reshape(-1, 3)
    return samples.reshape(-1).view("<i4") >> 8  # the shift extends the sign


def _decode_32(content: Bytes) -> Integers:
    return content.view("<i4")


def _decode_61(content: Bytes) -> Integers:
    return content.view(">i2")


def _decode_80(content: Bytes) -> Integers:
    return (content ^ np.uint8(0x80)).view(np.int8)


def _decode_160(content: Bytes) -> Integers:
    return (content.view("<u2") ^ np.uint16(0x8000)).view("<i2")


def _decode_212(content: Bytes) -> Integers:
    """Two samples of 12 bits in three bytes: the middle one has the high bits of both."""
    first, middle, last = (content[index::3].astype(np.int16) for index in range(3))
    samples = np.empty(2 * len(middle), np.int16)
    # Both are moved to the upper 12 of 16 bits; the shift back extends the sign.
    samples[0::2] = middle << 12 | first << 4
    samples[1::2] = (middle & 0xF0) << 8 | last << 4
    samples >>= 4
    return samples


def _decode_310(content: Bytes) -> Integers:
    """Three samples of 10 bits in two 16-bit words; the third has the upper five bits of both."""
    word = content.view(np.dtype("<u2"))
    low, high = word[0::2], word[1::2]
    return _ten_bits(low >> 1, high >> 1, (low >> 11) | (high >> 11) << 5)


def _decode_311(content: Bytes) -> Integers:
    """Three samples of 10 bits in a 32-bit word, from its least significant bit on."""
    word = content.view(np.dtype("<u4"))
    return _ten_bits(word, word >> 10, word >> 20)


def _ten_bits(*parts: NDArray[np.integer[Any]]) -> Integers:
    samples = np.stack(parts, axis=1).reshape(-1).astype(np.uint16)
    return (samples << 6).view(np.int16) >> 6  # ten bits up and back, which extends the sign


def _whole(decode: Callable[[Bytes], Integers], size: int, invalid: int | None) -> SampleFormat:
    return SampleFormat(decode=decode, invalid=invalid, tail_bytes=(0,), block_bytes=size)


FORMATS = {
    "8": _whole(_decode_8, 1, None),
    "16": _whole(_decode_16, 2, -(2**15)),
    "24": _whole(_decode_24, 3, -(2**23)),
    "32": _whole(_decode_32, 4, -(2**31)),
    "61": _whole(_decode_61, 2, -(2**15)),
    "80": _whole(_decode_80, 1, -(2**7)),
    "160": _whole(_decode_160, 2, -(2**15)),
    "212": SampleFormat(decode=_decode_212, invalid=-(2**11), tail_bytes=(0, 2), block_bytes=3),
    "310": SampleFormat(decode=_decode_310, invalid=-(2**9), tail_bytes=(0, 2, 4), block_bytes=4),
    "311": SampleFormat(decode=_decode_311, invalid=-(2**9), tail_bytes=(0, 2, 3), block_bytes=4),
}

# Format -> bits of its samples; FLAC files, whose length in bytes says nothing of their samples.
FLAC_BITS = {"508": 8, "516": 16, "524": 24}

INVALID: dict[str, int | None] = {
    **{name: layout.invalid for name, layout in FORMATS.items()},
    **{name: -(2 ** (bits - 1)) for name, bits in FLAC_BITS.items()},
}
"""The value that stands for an invalid sample; None where the format has none."""
