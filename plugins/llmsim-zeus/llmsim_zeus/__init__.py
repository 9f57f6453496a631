"""Energy as Zeus reads it."""
