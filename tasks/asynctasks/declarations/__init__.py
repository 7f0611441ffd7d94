"""Files in which people declare things: how one is read, judged and followed while it changes.

What is declared in which file is not known here.
"""
