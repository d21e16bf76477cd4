"""The error that a user can mend."""


class UserError(ValueError):
    """A command that cannot run; its text is the whole message: what was received, the rule, and what is accepted."""


class TrialFailed(UserError):  # noqa: N818  (what it says of a trial, not of the program)
    """Trials of a sweep have no results; the others do."""


class StoreError(UserError):
    """A study's store does not answer; what is in it is safe, and the same command goes on."""
