# Tries to write machine code and run it; stopped by the list of system calls.
# verdict: exception; alone: seccomp
import mmap


def order(p):
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    raise RuntimeError("PWNED")
