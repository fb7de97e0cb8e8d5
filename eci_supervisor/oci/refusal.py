"""What a create says no with."""


class StageRefused(Exception):  # the name says what happened
    """A container cannot be staged as its spec asks; the text is one sentence for the user, without a program's name in front."""
