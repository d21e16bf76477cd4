"""The errors of loading data."""

from src.config.error import UserError


class DataError(UserError):
    """Images are not available or cannot be used; the text is the whole message for the user."""


class UnavailableError(DataError):
    """A published set is neither here nor could it be downloaded, and no folder was named."""
