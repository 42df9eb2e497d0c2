"""A Bot API server on this machine: takes a bot's messages, shows them as a chat on a page, and
misbehaves when it is asked to.
"""
