"""How upstreams are spoken to over HTTP/1.1: two clients that one interface makes interchangeable.

What a call is, what an answer is and why there is none belongs here, and how each client makes
one. What a call says, which client makes it and what a failure means for an attempt does not.
"""
