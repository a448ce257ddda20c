"""The report on a store: what should be rotated, ended or looked at, and the forms in which it is written."""
