"""The one exception for mistakes that a user can mend."""


class UserError(ValueError):
    """A mistake in the input, said in one sentence that names what is wrong and what to do.

    Scripts print it without a traceback and exit with 2.
    """
