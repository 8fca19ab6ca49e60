"""What ecgmodels raises when the input, not the program, is wrong."""

_LONGEST = 1000


class ECGModelsError(Exception):
    """Base class: `str(error)` says what is wrong, `hint` how to mend it; one line each."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(_in_one_line(message))
        self.hint = _in_one_line(hint)
        self.add_note(f"fix: {self.hint}")  # for those who see a traceback

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel between processes; the default would lose the keyword argument.
        return _rebuild, (type(self), str(self), self.hint)


def _in_one_line(text: str) -> str:
    """Return text that a terminal can show: what came out of a damaged file may be anything."""
    line = " ".join(text.split())
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    return shown if len(shown) <= _LONGEST else f"{shown[:600]} ... {shown[-395:]}"


def _rebuild(kind: type[ECGModelsError], message: str, hint: str) -> ECGModelsError:
    return kind(message, hint=hint)


class ConfigError(ECGModelsError):
    """A configuration names an unknown key or asks for something that cannot be built."""


class DataError(ECGModelsError):
    """A recording, a shard, a manifest or an option of data preparation is not what it must be."""


class TrainingError(ECGModelsError):
    """Training cannot go on (for example, the loss is no longer finite)."""
