"""The error that a user can mend."""


class UserError(ValueError):
    """A command that cannot run; its text is the whole message: what was received, the rule, and what is accepted."""
