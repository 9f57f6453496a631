"""Serving by a server that speaks OpenAI's protocol, measured from outside."""
