"""Ways to spoil text and bytes, and headers and annotation files made from their grammar."""

from __future__ import annotations

import struct
from random import Random

NASTY = (
    *("", "0", "-0", "-1", "1", "2", "12", "2147483647", "-2147483649", str(10**18), str(10**19)),
    *("9" * 5000, "1e308", "1e-308", "1e999", "nan", "inf", "-inf", "0x10", "1_000", "1.5", "16.0"),
    *("\u0663\u0660", "\u00bd", "\u00b2", "1.", ".5", "1..2", "--1", "+", "-", ".", "/", "(", ")"),
    *("()", "(0)", "1/2/3", "200(", "200)/mV", "mV", "/mmHg", "~", "..", "../r1.dat", "/dev/zero"),
    *(
        "/",
        "\\",
        "\x00",
        "\x1b[2J",
        "\u2028",
        "\x85",
        "\ufeff",
        "\u00e9",
        "\U0001f600",
        "#",
        "%s%n",
    ),
    *("{0}", "a" * 3000, "r1.hea", "r1", "r1/2", "16", "16+24", "16x1000000000", "16x0", "212:59"),
    *("212:60", "8x2", "16+9999999999999999999", "16+-1", "508", "516+3", "524x2", "0", "17"),
    *(
        ",",
        ",,",
        ";",
        ":",
        "::",
        "<>",
        "<age>",
        "<age>:",
        "Dx",
        "None",
        "True",
        '"',
        "'",
        "\t",
        " ",
    ),
)

_SEPARATORS = (
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\x0b",
    "\x0c",
    "\u00a0",
    "/",
    "+",
    ",,",
)


def spoil_text(random: Random, content: bytes) -> bytes:
    """Return a text with one to three places changed: words, lines, separators, characters."""
    text = content.decode("utf-8", errors="replace")
    for _ in range(random.randint(1, 3)):
        text = random.choice(_TEXT_CHANGES)(random, text)
    encoding = random.choice(["utf-8"] * 6 + ["latin-1", "utf-16"])
    return text.encode(encoding, errors="replace")


def _change_word(random: Random, text: str) -> str:
    lines = text.split("\n")
    row = random.randrange(len(lines))
    words = lines[row].split(" ")
    words[random.randrange(len(words))] = random.choice(NASTY)
    lines[row] = " ".join(words)
    return "\n".join(lines)


def _change_cell(random: Random, text: str) -> str:
    """As a word, between any of the separators of headers and tables."""
    starts = [i for i, character in enumerate(text) if character in " ,;:/()+x\t\n"] or [0]
    at = random.randrange(len(starts))
    end = starts[at + 1] if at + 1 < len(starts) else len(text)
    return text[: starts[at] + 1] + random.choice(NASTY) + text[end:]


def _change_line(random: Random, text: str) -> str:
    lines = text.split("\n")
    row, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[row]
        case 1:
            lines.insert(row, lines[other])
        case 2:
            lines[row], lines[other] = lines[other], lines[row]
        case _:
            lines.insert(row, random.choice(NASTY))
    return "\n".join(lines)


def _change_separator(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    found = text.find(" ", at)
    at = found if found >= 0 else at
    return text[:at] + random.choice(_SEPARATORS) + text[at + random.randint(0, 1) :]


def _change_characters(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(NASTY)[:20] + text[at + random.randint(0, 8) :]


_TEXT_CHANGES = (_change_word, _change_cell, _change_line, _change_separator, _change_characters)


def spoil_bytes(random: Random, content: bytes) -> bytes:
    """Return bytes with flips, a part cut out or repeated, or the end cut off or prolonged."""
    changed = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 5])):
        at = random.randrange(len(changed) + 1)
        length = random.choice([1, 2, 3, 7, 64])
        match random.randrange(7):
            case 0:
                for _ in range(random.choice([1, 4, 16])):
                    if changed:
                        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length] or b"\0"
            case 4:
                changed += random.randbytes(random.choice([1, 2, 24, 999]))
            case 5:
                changed[at : at + 4] = random.choice([b"\xff" * 4, b"\0" * 4, b"\x80\0\0\0"])
            case _:
                changed[at : at + length] = random.randbytes(length)
    return bytes(changed)


def make_header(random: Random, name: str) -> bytes:
    """Return a header by the grammar in which any field may be absent, extreme or nonsense."""

    def field(*usual: str) -> str:
        return random.choice(usual) if random.random() < 0.93 else random.choice(NASTY)

    signals = random.choice([1, 1, 2, 3, 12])
    record = name + field("", "", "", ".mat", "/1")
    rate = field("360", "500", "100", "250.5") + field("", "", "/360", "/100(5)", "(5)")
    words = [record, field(str(signals)), rate, field("60", "60", "60", "0", "59", "61", "1")]
    words += [field("05:05:15", "1:2"), field("1/05/2000", "12-May-2020", "12-May 2020")]
    lines = [" ".join(words[: random.choice([6, 6, 6, 5, 4, 3, 2, 1])])]
    file_name = field(f"{name}.dat", f"{name}.mat")
    storage = field("16", "212", "80", "8", "24", "32", "61", "160", "310", "311", "516")
    storage += field("", "", "x1", "x2", ":1", "+24", "x3:2+24")
    for _ in range(signals + random.choice([0] * 12 + [-1, 1])):
        gain = field("200", "1000", "0", "-5", "1e3", "1000.0")
        gain += field("", "(0)", "(1024)", "(-5)") + field("", "/mV", "/mv", "/uV", "/V", "/nV")
        words = [file_name, storage, gain, field("12", "16"), field("0", "1024", "-3")]
        words += [field("0", "995", "-7"), field("0", "-22131"), field("0", "512")]
        words += [field("I", "MLII", "lead II", "ECG", "")]
        if random.random() < 0.05:
            words[0], words[1] = field(f"{name}.mat"), field("16+24", "212")
        lines.append(" ".join(words[: random.choice([9] * 6 + [8, 5, 3, 2, 1])]))
    for _ in range(random.choice([0, 1, 4])):
        key = field("Age", " Age", "<age>", "Sex", "<sex>", "Dx", " Dx", "69 M 1085", "Rhythm")
        value = field("74", "-1", "NaN", "F", "Male", "426783006,,164889003", "")
        lines.insert(random.randint(0, len(lines)), "#" + key + field(": ", ":", " ", "") + value)
    return (field("\n", "\r\n").join(lines) + field("\n", "")).encode("utf-8", errors="replace")


def make_annotations(random: Random) -> bytes:
    """Return an annotation file of random words, among them many SKIP, AUX and ends."""
    words: list[int] = []
    for _ in range(random.choice([0, 1, 5, 40, 400])):
        match random.randrange(8):
            case 0:
                skip = random.choice(
                    [0, 1, -1, 70_000, 2**31 - 1, -(2**31), random.getrandbits(32)]
                )
                words += [59 << 10 | random.choice([0, 0, 5]), skip >> 16 & 0xFFFF, skip & 0xFFFF]
            case 1:
                text = random.choice(
                    [b"(N", b"odd", b"", b"## time resolution: 1000", b"x" * 255]
                    + [f"## time resolution: {nasty}".encode()[:255] for nasty in NASTY[:20]]
                )
                claimed = len(text) if random.random() < 0.9 else random.randrange(1024)
                words.append(63 << 10 | claimed)
                padded = text + b"\0" * (len(text) % 2)
                words += struct.unpack(f"<{len(padded) // 2}H", padded)
            case 2:
                words.append(random.randrange(60, 63) << 10 | random.randrange(1024))
            case 3:
                words.append(random.getrandbits(16))
            case 4:
                words.append(22 << 10 | random.choice([0, 0, 3]))
            case _:
                words.append(random.randrange(42) << 10 | random.randrange(1024))
    content = struct.pack(f"<{len(words)}H", *words)
    return content + random.choice([b"\0\0"] * 6 + [b"", b"\0", b"\0\0\0\0", random.randbytes(9)])
