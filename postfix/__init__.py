"""Postfix beside penstock: the snippets that wire the two, and a private Postfix for the try-out and for tests."""
