"""The one error of this folder."""

from src.config.error import UserError


class DataError(UserError):
    """Images that cannot be had or used; its text is the whole message for the user."""
