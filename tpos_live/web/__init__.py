"""The control page: a server for browsers, on a thread of its own."""
