"""The errors a caller may want to catch; each is also the builtin it resembles."""


class InputError(ValueError):
    """The movie, its masks or an option cannot be used as given."""


class ModelError(ValueError):
    """The model file is not one of ours, or does not fit this movie or engine."""


class MissingDependencyError(ImportError):
    """An optional package is needed; the message names what to install."""


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
