# Tries to ask for more than it was given; stopped by the list of system calls.
# verdict: exception; alone: seccomp
import resource


def order(p):
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    raise RuntimeError("PWNED")
