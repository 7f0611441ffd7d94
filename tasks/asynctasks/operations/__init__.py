"""What callers may ask for, and what makes a task of it.

The operations file, the schema of the arguments, what is sealed of them, and the one way from an
operation and a caller's wishes to a new task belong here. How a task is stored does not: that is
`statements`; nor how a wish is written in a header or an object: that is the services'.
"""
