"""Limits: what an upstream may be asked, and which queued tasks may start because of that.

A queued task that may not start yet is held: its row waits without a message. Whoever frees room
releases as many as fit. `plan` decides, `asynctasks.releases` does what it decides.
"""
