"""keyctl beside what people would pick instead: `make bench-peers`. Their environment is `.bench/peers`."""
