"""What the search raises when a study file, a study or its user, not the program, is wrong."""


class ECGSearchError(Exception):
    """Base class: `str(error)` says what is wrong, `hint` how to mend it; one line each."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel between processes; the default would lose the keyword argument.
        return _rebuild, (type(self), str(self), self.hint)


def _rebuild(kind: type[ECGSearchError], message: str, hint: str) -> ECGSearchError:
    return kind(message, hint=hint)


class StudyFileError(ECGSearchError):
    """A study file cannot be read, or asks for something that cannot be searched."""


class StudyError(ECGSearchError):
    """A study is not what it must be: settings that changed, a metric that is missing, a lock."""
