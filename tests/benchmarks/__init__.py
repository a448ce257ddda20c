"""What DESIGN calls fast, measured: `make bench`, or `make bench QUICK=1` for a first impression.

Every row compares keyctl with a floor, a plain script in `floors/` that does the least one could do with the same
libraries. Both run in turn, and the ratio of their medians is what counts: it means the same on every machine.
"""
