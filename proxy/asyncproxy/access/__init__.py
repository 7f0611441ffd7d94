"""Who calls, what that caller may do, and what is written down of it.

Without an access file nothing here is asked: everyone may do everything.
"""
