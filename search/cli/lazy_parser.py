"""A parser that learns its arguments when it is first used, so that `ecgsearch --help` is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ecgmodels.configs import nearest_hint

USER_ERROR = 2


class TwoLineParser(argparse.ArgumentParser):
    """Tells a mistake in two lines, what is wrong and how to mend it, and ends with status 2."""

    def error(self, message: str) -> NoReturn:
        """End with the message and where help is."""
        self.refuse(message, f"`{self.prog} --help` shows what it takes")

    def refuse(self, message: str, hint: str) -> NoReturn:
        """End with the message and how to mend it."""
        self.exit(USER_ERROR, f"error: {' '.join(message.split())}\nfix: {hint}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.metavar or "/".join(action.option_strings) or action.dest
            self.refuse(
                f"{name} is '{value}', which is not known to `{self.prog}`",
                nearest_hint(str(value), map(str, action.choices)),
            )


class LazyParser(TwoLineParser):
    """Calls `fill(parser)` before it parses or explains itself."""

    def __init__(self, *, fill: Callable[[argparse.ArgumentParser], None], **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False} | options)
        self._fill: Callable[[argparse.ArgumentParser], None] | None = fill

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; what is left over is a mistake."""
        if self._fill is not None:
            fill, self._fill = self._fill, None
            fill(self)
        parsed, unknown = super().parse_known_args(args, namespace or argparse.Namespace())
        if unknown:
            self.refuse(
                f"'{unknown[0]}' is not an option of `{self.prog}`",
                nearest_hint(unknown[0].partition("=")[0], self._option_string_actions),
            )
        return parsed, unknown
