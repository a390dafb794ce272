"""Metrics: what a pool counts, and how Prometheus reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

#: Upper ends of the buckets of latency, in seconds.
LATENCIES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


#: How many observations are counted at once.
MANY = 4096


class Histogram:
    """Counts of observations up to each of ``bounds``, and above the last."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = np.asarray(bounds, float)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0
        self._new: list[float] = []  # not counted yet, since to count many at once takes little time

    def observe(self, values: Sequence[float]) -> None:
        """Take some observations."""
        self._new.extend(values)
        if len(self._new) > MANY:
            self._count()

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """What Prometheus calls buckets, an upper end and how many are not above it, and the sum."""
        self._count()
        ends = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]
        return list(zip(ends, self._counts.cumsum().tolist(), strict=True)), self._sum

    def _count(self) -> None:
        found = np.array(self._new)
        self._counts += np.bincount(np.searchsorted(self.bounds, found), minlength=len(self._counts))
        self._sum += float(found.sum())
        self._new = []


class Metrics:
    """What a pool has done so far."""

    def __init__(self, max_batch: int) -> None:
        powers = [1 << k for k in range(max_batch.bit_length()) if 1 << k < max_batch]
        self.latency = Histogram(LATENCIES)
        self.batch = Histogram([*powers, max_batch])
        self.refused: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.opened = 0
        self.failed = 0

    def collect(self, waiting: int, streams: int, room: int, busy: float) -> Iterator[Any]:
        """The families of ``prometheus_client``."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for name, told, histogram in (
            ("rnnc_pool_latency_seconds", "From a frame's arrival to its answer.", self.latency),
            ("rnnc_pool_batch_streams", "Streams that ran as one batch.", self.batch),
        ):
            yield HistogramMetricFamily(name, told, *histogram.read())
        yield GaugeMetricFamily("rnnc_pool_waiting", "Frames that wait.", value=waiting)
        yield GaugeMetricFamily("rnnc_pool_streams", "Open streams.", value=streams)
        yield GaugeMetricFamily("rnnc_pool_max_streams", "Streams there is room for.", value=room)
        yield CounterMetricFamily("rnnc_pool_run_seconds", "Time in onnxruntime.", value=busy)
        yield CounterMetricFamily("rnnc_pool_opened", "Streams opened.", value=self.opened)
        yield CounterMetricFamily("rnnc_pool_failed", "Frames that failed to run.", value=self.failed)
        for name, text, label, counts in (
            ("rnnc_pool_refused", "Requests refused.", "reason", self.refused),
            ("rnnc_pool_closed", "Streams closed.", "reason", self.closed),
        ):
            family = CounterMetricFamily(name, text, labels=[label])
            for value, count in sorted(counts.items()):
                family.add_metric([value], count)
            yield family


def text(families: Iterable[Any]) -> str:
    """Families in Prometheus's text form."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Fixed(list(families)))
    return generate_latest(registry).decode()


def merged(texts: Mapping[str, str]) -> str:
    """The texts of several replicas as one, each sample labelled with its replica's name."""
    from prometheus_client.parser import text_string_to_metric_families

    families: dict[str, Any] = {}
    for replica, told in sorted(texts.items()):
        for family in text_string_to_metric_families(told):
            found = families.setdefault(family.name, family)
            if found is family:
                own, family.samples = family.samples, []
            else:
                own = family.samples
            found.samples += [s._replace(labels={**s.labels, "replica": replica}) for s in own]
    return text(families.values())


class _Fixed:
    """A collector of what has been collected."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        """The families."""
        return self._families
