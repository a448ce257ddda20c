"""Verification of HTTP requests, and the responses of a platform."""
