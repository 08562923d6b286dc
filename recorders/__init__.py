"""Recorders of RTC channels and web pages: source to segment log, with no cluster and no HTTP API.

This package imports neither `ray` nor `egress_ray`; `python -m recorders SPEC` runs it by itself.
"""
