"""The page: paste Nova logs, see what went wrong for each instance.

The script ends with an exception when the model cannot be loaded, so that Streamlit's script
health check answers 503: a page without its model is not healthy.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import streamlit as st

# "streamlit run" puts the script's folder on the path, not the application's.
_ROOT = Path(__file__).resolve().parent.parent
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

from config import Config
from lstm.inference import RootCauseModel
from streamlit_app.analysis import InstanceAnalysis, analyze_log
from streamlit_app.telemetry import Telemetry, serve

_SAMPLE = Path(__file__).with_name("sample.log")
#: Instances shown in full; the rest are counted.
_SHOWN = 50
_FAULTY, _SOUND = ":material/error:", ":material/check_circle:"


@st.cache_resource  # type: ignore[untyped-decorator]
def _model(directory: str) -> RootCauseModel:
    return RootCauseModel.load(Path(directory))


@st.cache_resource  # type: ignore[untyped-decorator]
def _telemetry(directory: str, port: int) -> Telemetry:
    telemetry = Telemetry(_model(directory).description.labels)
    if port:
        serve(telemetry, port)
    return telemetry


def _about(model: RootCauseModel) -> None:
    training = model.description.training
    with st.sidebar:
        st.header("Model")
        st.caption("sha256")
        st.code(model.sha256, language=None, wrap_lines=True)
        data, versions = training.get("data", {}), training.get("versions", {})
        facts = {
            "Learnt from": f"{data.get('train_sequences', '?')} instances",
            "Kinds of event": str(len(model.description.vocabulary)),
            "Unexpected": f"not among the {model.description.top_k} most likely events",
            "Made with": ", ".join(f"{name} {version}" for name, version in versions.items()),
        }
        st.markdown("\n".join(f"- **{name}**: {value}" for name, value in facts.items()))
        if model.description.labels:
            st.subheader("Classes")
            st.markdown("\n".join(f"- {label}" for label in model.description.labels))


def _input() -> str:
    upload = st.file_uploader("Log file", type=["log", "txt"])
    if upload is not None:
        return str(upload.getvalue(), "utf-8", errors="replace")
    if st.button("Use the sample log"):
        st.session_state["log"] = _SAMPLE.read_text(encoding="utf-8")
    return str(st.text_area("or log lines", key="log", height=220))


def _show(item: InstanceAnalysis) -> None:
    faulty = item.diagnosis.label != "normal"
    with st.expander(item.title, expanded=faulty, icon=_FAULTY if faulty else _SOUND):
        for label, probability in list(item.diagnosis.probabilities.items())[:3]:
            st.progress(probability, text=f"{label.replace('_', ' ')}: {probability:.1%}")
        st.dataframe(item.events(), hide_index=True)


def page() -> None:
    """Draw the page."""
    st.set_page_config(page_title="OpenStack RCA", page_icon="🔎", layout="wide")
    st.title("OpenStack root-cause analysis")
    st.write(
        "Paste or upload Nova logs. Lines are grouped by instance; the model names the root cause "
        "and marks the events that it did not expect."
    )
    config = Config.from_environment()
    model = _model(str(config.model_dir))
    telemetry = _telemetry(str(config.model_dir), config.metrics_port)
    _about(model)
    text = _input()
    if not text.strip():
        st.info("No log yet.")
        return
    started = time.perf_counter()
    try:
        found = analyze_log(text, model)
    except ValueError as error:
        st.warning(str(error))
        return
    telemetry.observe((item.diagnosis for item in found), time.perf_counter() - started)
    faulty = sum(item.diagnosis.label != "normal" for item in found)
    first, second = st.columns(2)
    first.metric("Instances", len(found))
    second.metric("With a fault", faulty)
    for item in found[:_SHOWN]:
        _show(item)
    if len(found) > _SHOWN:
        st.info(f"{len(found) - _SHOWN} more instances are not shown.")


page()
