# Tries to write to the terminal of whoever looks on; stopped by the text that is cut, quoted and stripped.
# verdict: exception; alone: text
def order(p):
    raise ValueError("\x1b]0;owned\x07\x1b[2J\u202egnihton\u2028")
