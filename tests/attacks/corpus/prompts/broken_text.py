# Tries to break the reader with text that is none; stopped by the text that is cut, quoted and stripped.
# verdict: exception; alone: text
class Error(Exception):
    def __str__(self):
        return "\ud800\0`"


def order(p):
    raise Error
