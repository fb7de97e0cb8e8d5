"""What a create says no with."""


class StageRefused(Exception):  # the name says what happened
    """A container cannot be staged as its spec asks; the text is one sentence for the user, without a program's name in front."""


class PolicyRefused(StageRefused):
    """The admin's policy, or the built-in part of it, says no.

    code: as the audit event and the relay's header have it; where: the JSON path in the settings that refuses, or what else does;
    list_alone: only a list refuses, so that learn mode lets it pass; subject: what the list would have to name.
    """

    def __init__(self, sentence: str, code: str, where: str, *, list_alone: bool = False, subject: str = "") -> None:
        super().__init__(sentence)
        self.code, self.where, self.list_alone, self.subject = code, where, list_alone, subject
