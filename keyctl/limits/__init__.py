"""Rate limits: the address of a limiter, and what counts requests, in this process or on a server."""
