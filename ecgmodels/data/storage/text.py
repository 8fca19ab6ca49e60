"""Counts and tables as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

LISTED = 10
"""Items of a long list that are written out."""


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table: the first column to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(row[column]) for row in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in lines
    )


def counted(title: str, counts: Mapping[str, int]) -> str:
    """Return a line a reason with its count, the largest first; all on one line if it is one."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= 1:
        return f"{title}: " + ("".join(f"{count:,} ({name})" for name, count in ordered) or "none")
    width = max(len(f"{count:,}") for _, count in ordered)
    lines = [f"  {count:>{width},}  {name}" for name, count in ordered]
    return "\n".join([f"{title}: {sum(counts.values()):,}", *lines])


def listed(title: str, items: Sequence[str], most: int = LISTED) -> str:
    """Return the number of items and the first of them, a line each, below the title."""
    if not items:
        return f"{title}: none"
    indent = " " * (len(title) - len(title.lstrip()) + 2)
    lines = [f"{indent}{item}" for item in items[:most]]
    if len(items) > most:
        lines.append(f"{indent}and {len(items) - most:,} more")
    return "\n".join([f"{title}: {len(items):,}", *lines])


def spread(counts: Mapping[str, int], unit: str) -> str:
    """Return "A in 40, B in 8 records"; just "A" where there is nothing else."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) == 1:
        return ordered[0][0]
    shown = [f"{name} in {count:,}" for name, count in ordered[:LISTED]]
    if len(ordered) > LISTED:
        rest = sum(count for _, count in ordered[LISTED:])
        shown.append(f"{len(ordered) - LISTED:,} others in {rest:,}")
    return "; ".join(shown) + f" {unit}"
