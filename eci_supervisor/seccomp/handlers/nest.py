"""unshare and clone of a user namespace, where the admin limits how deep they nest."""
from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import KernelCheck, Nest, Verdict


def nest(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Judged on the namespaces of the blocked thread, which nobody else can change."""
    del call
    return Nest(otherwise)
