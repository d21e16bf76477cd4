"""The errors of this folder."""

from src.config.error import UserError


class DataError(UserError):
    """Images that cannot be had or used; its text is the whole message for the user."""


class UnavailableError(DataError):
    """A published set that is neither here nor to be had, where no folder was named."""
