"""The error that a user can mend."""


class UserError(ValueError):
    """A command that cannot run; its text is the whole message: what was received, the rule, and what is accepted."""


class TrialFailed(UserError):  # noqa: N818  (what it says of a trial, not of the program)
    """Trials of a sweep have no results; the others do."""


class SurroundingsError(UserError):
    """No trial is to blame: a sweep stops, and what was under way is asked again by the next start."""


class StoreError(SurroundingsError):
    """A study's store does not answer; what is in it is safe, and the same command goes on."""


class ConfigError(UserError):
    """A configuration that cannot run; the text lists every problem."""
