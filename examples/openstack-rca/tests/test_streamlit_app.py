"""The page, run by Streamlit's own test harness."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from streamlit_app import analysis
from streamlit_app.analysis import analyze_log
from tests.conftest import Trained
from utils.log_generator import generate

PAGE = Path(analysis.__file__).with_name("chatbot.py")
SAMPLE = PAGE.with_name("sample.log")


@pytest.fixture
def page(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page with the trained model."""
    monkeypatch.setenv("MODEL_DIR", str(trained.directory))
    return AppTest.from_file(str(PAGE), default_timeout=30)


def test_the_empty_page_shows_the_model(page: AppTest, trained: Trained) -> None:
    page.run()
    assert not page.exception
    assert page.code[0].value == trained.model.sha256
    assert page.info[0].value == "No log yet."


def test_the_sample_log_is_analysed(page: AppTest) -> None:
    page.run()
    page.button[0].click().run()
    assert not page.exception
    assert page.metric[0].value == "12"
    assert 0 < int(page.metric[1].value) < 12
    assert len(page.dataframe) == 12
    assert len(page.expander) == 12


def test_text_without_log_lines_is_explained(page: AppTest) -> None:
    page.run()
    page.text_area[0].set_value("my machine does not start").run()
    assert not page.exception
    assert "No line has the form of an OpenStack log" in page.warning[0].value


def test_many_instances_are_cut_and_counted(page: AppTest) -> None:
    page.run()
    page.text_area[0].set_value("\n".join(generate(60, 3).lines)).run()
    assert not page.exception
    assert len(page.expander) == 50
    assert page.info[0].value.endswith("more instances are not shown.")


def test_a_page_without_its_model_is_an_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "none"))
    page = AppTest.from_file(str(PAGE), default_timeout=30).run()
    assert "needs one .keras file" in page.exception[0].value


def test_faulty_instances_come_first_with_all_their_lines(trained: Trained) -> None:
    found = analyze_log(SAMPLE.read_text(), trained.model)
    faulty = [item.diagnosis.label != "normal" for item in found]
    assert faulty == sorted(faulty, reverse=True)
    for item in found:
        rows = item.events()
        assert [row["line"] for row in rows] == list(item.sequence.lines)
        marked = [position for position, row in enumerate(rows) if row["unexpected"]]
        assert marked == [anomaly.position for anomaly in item.diagnosis.anomalies]
        assert item.sequence.key in item.title


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "No line has the form"),
        ("2026-01-05 08:00:04 2931 INFO nova.compute.manager [-] hello", "names an instance"),
    ],
)
def test_a_log_without_instances_is_refused(trained: Trained, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        analyze_log(text, trained.model)


def test_a_log_beyond_the_limit_is_refused(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "MAX_CHARACTERS", 10)
    with pytest.raises(ValueError, match="longer than 10 characters"):
        analyze_log("x" * 11, trained.model)
