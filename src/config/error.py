"""The errors that a user can mend; their text is printed without a traceback."""


class UserError(ValueError):
    """A command cannot run; the text is the whole message: what was received, the rule, and what is accepted."""


class TrialFailed(UserError):  # noqa: N818  (it reports a trial's failure, not one of the program)
    """Some trials of a sweep failed and have no results; the other trials have theirs."""


class SurroundingsError(UserError):
    """Something outside the trials failed: the sweep stops, and its next start trains again what was under way."""


class StoreError(SurroundingsError):
    """A study's store does not answer; what it holds is safe, and the same command goes on with the study."""


class ConfigError(UserError):
    """A configuration cannot run; the text lists every problem."""


class CommandEnded(BaseException):
    """Ends a whole command from within Hydra's jobs and callbacks with `error`, for which it is to be taken.

    It is no Exception, because Hydra adds to the message of an Exception, or turns it into a warning.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error
