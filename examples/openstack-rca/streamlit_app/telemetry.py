"""What the page predicts and how long it takes, as metrics for Prometheus.

A deployment compares them between two versions: a model whose predictions have shifted is found
while it has a small share of the traffic. See docs/rollout.md, "Is it the same model?".
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lstm.inference import Diagnosis

#: Upper bounds: of the probability of the predicted class, and of seconds for a log.
CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """Counts of values up to each bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Take the bounds in ascending order; values above the last are counted too."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> list[str]:
        """Return the histogram in Prometheus's text format."""
        lines, total = [f"# TYPE {name} histogram"], 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self._sum}", f"{name}_count {total}"]


class Telemetry:
    """The metrics of one process. All methods may be called from several threads."""

    def __init__(self, labels: Iterable[str]) -> None:
        """Take the classes of the model, each of which is counted from 0 on."""
        self._lock = threading.Lock()
        self._predictions = dict.fromkeys([*labels] or ["normal", "anomalous"], 0)
        self._confidence, self._latency = Histogram(CONFIDENCE), Histogram(SECONDS)

    def observe(self, diagnoses: Iterable[Diagnosis], seconds: float) -> None:
        """Count the diagnoses of one log, which took this many seconds."""
        with self._lock:
            self._latency.observe(seconds)
            for diagnosis in diagnoses:
                self._predictions[diagnosis.label] = self._predictions.get(diagnosis.label, 0) + 1
                if diagnosis.probabilities:
                    self._confidence.observe(diagnosis.probabilities[diagnosis.label])

    def text(self) -> str:
        """Return all metrics in Prometheus's text format."""
        with self._lock:
            lines = ["# TYPE rca_predictions_total counter"]
            for label, count in sorted(self._predictions.items()):
                escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
                lines.append(f'rca_predictions_total{{label="{escaped}"}} {count}')
            lines += self._confidence.lines("rca_confidence")
            lines += self._latency.lines("rca_latency_seconds")
        return "\n".join(lines) + "\n"


def serve(telemetry: Telemetry, port: int) -> ThreadingHTTPServer:
    """Serve the metrics at /metrics in a thread of its own; port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the metrics."""
            known = self.path.split("?")[0] == "/metrics"
            body = telemetry.text().encode() if known else b"not found\n"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing: a scrape is no event."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
