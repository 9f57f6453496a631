"""Many runs by one command: each in its own job, one table of them all."""
