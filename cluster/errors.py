"""What cluster raises when the surroundings, not the program, are wrong."""


class ClusterError(Exception):
    """Base class: `str(error)` says what is wrong, `hint` how to mend it; one line each."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel between processes; the default would lose the keyword argument.
        return _rebuild, (type(self), str(self), self.hint)


def _rebuild(kind: type[ClusterError], message: str, hint: str) -> ClusterError:
    return kind(message, hint=hint)
