"""Serving: many streams over one file, each with a state of its own."""

from rnnc.serving.pool import StreamPool as StreamPool
