"""The page's metrics, in the format that Prometheus reads."""

from __future__ import annotations

from http.client import HTTPConnection

from lstm.inference import Diagnosis
from streamlit_app.telemetry import Telemetry, serve


def diagnosis(label: str, probability: float | None = None) -> Diagnosis:
    """A diagnosis of a class that is this sure."""
    return Diagnosis(label, {} if probability is None else {label: probability}, ())


def test_predictions_confidence_and_latency_are_counted() -> None:
    telemetry = Telemetry(["normal", "disk_full"])
    telemetry.observe([diagnosis("normal", 0.95), diagnosis("normal", 0.3)], 0.2)
    lines = telemetry.text().splitlines()
    assert 'rca_predictions_total{label="normal"} 2' in lines
    assert 'rca_predictions_total{label="disk_full"} 0' in lines
    assert 'rca_confidence_bucket{le="0.3"} 1' in lines
    assert 'rca_confidence_bucket{le="0.9"} 1' in lines
    assert 'rca_confidence_bucket{le="1.0"} 2' in lines
    assert 'rca_confidence_bucket{le="+Inf"} 2' in lines
    assert 'rca_latency_seconds_bucket{le="0.1"} 0' in lines
    assert 'rca_latency_seconds_bucket{le="0.25"} 1' in lines
    assert "rca_latency_seconds_sum 0.2" in lines


def test_a_model_without_classes_and_odd_names_are_counted() -> None:
    telemetry = Telemetry([])
    telemetry.observe([diagnosis("normal"), diagnosis('a "class"\n')], 60)
    text = telemetry.text()
    assert 'rca_predictions_total{label="anomalous"} 0' in text
    assert 'rca_predictions_total{label="a \\"class\\"\\n"} 1' in text
    assert "rca_confidence_count 0" in text
    assert 'rca_latency_seconds_bucket{le="30.0"} 0' in text


def test_they_are_served() -> None:
    server = serve(Telemetry(["normal"]), 0)
    client = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        client.request("GET", "/metrics")
        assert 'rca_predictions_total{label="normal"} 0' in client.getresponse().read().decode()
        client.request("GET", "/")
        assert client.getresponse().status == 404
    finally:
        client.close()
        server.shutdown()
        server.server_close()
