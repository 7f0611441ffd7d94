"""Bodies that are too large for a row: written and read in chunks, in bounded memory.

What is here knows of names and bytes. What a body means stands in the rows that refer to it, and
the statements in `asynctasks.statements`.
"""
