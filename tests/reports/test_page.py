from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from greentune.reports.content import ReportContent, Search, TrialRow
from greentune.reports.layout import BundleError
from greentune.reports.page import render, write_report
from greentune.storage.dataset import Dataset
from greentune.storage.datasets import load_dataset

from .conftest import Trained, small_spec, train
from .test_content import content_of

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Structure(HTMLParser):
    """Open and closed tags, and every address that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def structure(page: str) -> Structure:
    parser = Structure()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def content(trained: Trained) -> ReportContent:
    return content_of(trained)


def test_page_is_one_file_without_scripts(content: ReportContent) -> None:
    page = render(content)
    seen = structure(page)
    assert "script" not in seen.tags
    assert len(seen.fetched) == 4
    assert all(address.startswith("data:image/png;base64,") for address in seen.fetched)
    assert "url(" not in page
    assert "@import" not in page


def test_first_line_says_what_was_found(content: ReportContent) -> None:
    seen = structure(render(content))
    assert seen.tags.index("h1") < seen.tags.index("p")
    (headline,) = re.findall(r"<h1[^>]*>(.*?)</h1>", render(content))
    assert "3 hours ahead" in headline
    assert "persistence" in headline


def test_a_forecast_worse_than_persistence_is_called_so(content: ReportContent) -> None:
    evaluation = {**content.evaluation, "test": {**content.evaluation["test"], "skill": -0.1}}
    page = render(dataclasses.replace(content, evaluation=evaluation))
    assert '<h1 class="bad">' in page
    assert "does not beat persistence" in page


def test_first_line_says_how_sure_it_is_and_how_it_does_against_the_best_baseline(content: ReportContent) -> None:
    (headline,) = re.findall(r"<h1[^>]*>(.*?)</h1>", render(content))
    assert "95\u00a0% interval" in headline
    assert "the best baseline, gradient boosting" in headline


def test_a_forecast_worse_than_gradient_boosting_is_called_so(content: ReportContent) -> None:
    skills = dict.fromkeys(content.evaluation["baselines"], 0.3) | {"gradient_boosting": -0.1}
    evaluation = {
        **content.evaluation,
        "test": {**content.evaluation["test"], "skill": 0.3},
        "baselines": {
            name: {**values, "skill": skills[name]} for name, values in content.evaluation["baselines"].items()
        },
    }
    page = render(dataclasses.replace(content, evaluation=evaluation))
    assert '<h1 class="">' in page
    assert "beats persistence, but not gradient boosting" in page


def test_every_baseline_has_its_skill_interval_and_p_value(content: ReportContent) -> None:
    page = render(content)
    rows = re.findall(r'<tr><th scope="row">([^<]*)</th>((?:<td>[^<]*</td>){8})</tr>', page)
    assert [name for name, _ in rows] == [
        "persistence",
        "same hour yesterday",
        "same hour last week",
        "climatology",
        "gradient boosting",
    ]
    for _, cells in rows:
        skill, between, p_value = re.findall(r"<td>([^<]*)</td>", cells)[-3:]
        assert skill.endswith("%")
        assert " to " in between
        assert re.fullmatch(r"(&lt; )?[01]\.\d{3}", p_value)
    assert "circular block bootstrap, 2,000 resamples" in page


def test_figures_of_an_older_bundle_make_a_page(content: ReportContent) -> None:
    """Without intervals, tests and the newer baselines."""
    old = ("rmse", "mae", "bias", "r2", "mape", "mape_n", "nrmse", "skill")
    evaluation = {
        **{name: content.evaluation[name] for name in ("units", "part", "n_windows", "notes")},
        "test": {name: content.evaluation["test"][name] for name in old},
        "baselines": {"persistence": {name: content.evaluation["baselines"]["persistence"][name] for name in old}},
        "per_output": [],
    }
    page = render(dataclasses.replace(content, evaluation=evaluation))
    assert "interval" not in page.replace("95\u00a0% interval</th>", "")


def test_every_section_and_figure_is_there(content: ReportContent) -> None:
    text = " ".join(structure(render(content)).text)
    for words in (
        "Forecast",
        "Against what anybody could forecast",
        "same hour yesterday",
        "Errors",
        "The model",
        "learning_rate",
        "The search",
        "2 complete, 5 pruned in 1 min 15 s with 2 workers",
        "What was searched",
        "The data",
        "rows without target",
        "weather@+3",
        "Limits",
        "tune predict winner",
        "greentune 0",
    ):
        assert words in text, words


def test_ensemble_is_a_mean_of_members_with_a_row_each(content: ReportContent) -> None:
    members = (
        TrialRow(7, 0.0123, {"units": [4], "batch_size": 32}, 0.91, 3.0),
        TrialRow(2, 0.0150, {"units": [8], "batch_size": 32}, 0.95, 2.0),
    )
    winner = dataclasses.replace(
        content.winner, builder="ensemble", parameters={}, trial_number=None, best_epoch=None, members=members
    )
    page = render(dataclasses.replace(content, winner=winner))
    section = page[page.index("<h2>The model</h2>") : page.index("<h2>The search</h2>")]
    assert "The mean of the forecasts of 2 models with 153 parameters together" in section
    assert re.findall(r'<th scope="row">(\d)</th>', section) == ["7", "2"]
    assert "val_mse in the search" in section
    assert "<td>[8]</td>" in section
    assert "The same in all of these: batch_size = 32." in section
    assert "hyperparameter" not in section
    assert "Training of the first member, trial 7." in section


def test_parameters_that_do_not_differ_leave_the_table_of_trials(content: ReportContent) -> None:
    assert "The same in all of these: learning_rate = 0.01." in render(content)


def test_several_outputs_get_a_table(content: ReportContent) -> None:
    row = {"output": 0, "step_ahead": 1, "rmse": 1.0, "mae": 1.0, "bias": 0.0, "r2": None, "skill": None}
    evaluation = {**content.evaluation, "per_output": [row, {**row, "output": 1, "step_ahead": None}]}
    page = render(dataclasses.replace(content, evaluation=evaluation))
    assert "Step by step" in page
    assert "output 2" in page
    assert "gradient boosting (MW)" not in page


def test_every_step_stands_beside_persistence_and_gradient_boosting(series_file: Path) -> None:
    page = render(content_of(train(load_dataset(small_spec(series_file, outputs="all")), boosting=True)))
    assert "<th>persistence (MW)</th><th>gradient boosting (MW)</th><th>skill</th>" in page
    steps = re.findall(r'<tr><th scope="row">(\d hours?)</th>((?:<td>[^<]*</td>){7})</tr>', page)
    assert [step for step, _ in steps] == ["1 hour", "2 hours", "3 hours"]
    assert all("–" not in cells for _, cells in steps)


def test_everything_from_outside_is_escaped(content: ReportContent) -> None:
    evil = "<script>alert('x')</script>&\""
    search = Search(
        evil,
        evil,
        evil,
        1,
        evil,
        {evil: 1},
        space={evil: evil},
        best_trials=(TrialRow(1, 0.1, {evil: evil}),),
        notes=(evil,),
    )
    page = render(
        dataclasses.replace(
            content,
            title=evil,
            created=evil,
            search=search,
            winner=dataclasses.replace(content.winner, builder=evil, parameters={evil: evil}, notes=(evil,)),
            data=dataclasses.replace(
                content.data,
                source=evil,
                target=evil,
                unit=evil,
                features=((evil, evil),),
                attribution=evil,
                notes=(evil,),
            ),
            residual_reading=evil,
            forecast_caption=evil,
            validation=(evil,),
            limits=(evil,),
            commands=((evil, evil),),
            versions={evil: evil},
            evaluation={**content.evaluation, "units": evil, "notes": [evil]},
        )
    )
    seen = structure(page)
    assert "script" not in seen.tags
    assert "<script" not in page


def test_report_without_search_series_or_pictures(tiny_dataset: Dataset) -> None:
    content = content_of(train(tiny_dataset), search=None)
    seen = structure(render(dataclasses.replace(content, figures={})))
    assert "img" not in seen.tags
    assert "cannot be known" in " ".join(seen.text)


def test_no_completed_trial(content: ReportContent) -> None:
    assert content.search is not None
    search = dataclasses.replace(content.search, best_trials=(), space={})
    assert "No trial was completed." in render(dataclasses.replace(content, search=search))


def test_report_is_written_whole(content: ReportContent, tmp_path: Path) -> None:
    path = write_report(tmp_path / "deep" / "report.html", content)
    assert path.read_text(encoding="utf-8") == render(content)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_report_that_cannot_be_written(content: ReportContent, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(BundleError, match="report must be written whole"):
        write_report(tmp_path / "report.html", content)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def in_browser(page: Path, profile: Path, *more: str) -> str:
    """The document that Chromium makes of the page."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", f"--user-data-dir={profile}", "--dump-dom", *more]
    done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_browser_shows_the_page(content: ReportContent, tmp_path: Path) -> None:
    shown = in_browser(write_report(tmp_path / "report.html", content), tmp_path / "profile")
    assert shown.count("<img") == 4
    assert "How it was validated" in shown


WIDE = """<script>addEventListener("load", () => {
  const cut = [...document.querySelectorAll(".wide")].filter((box) => box.scrollWidth > box.clientWidth);
  document.title = cut.map((box) => box.querySelector("thead")?.textContent ?? box.firstChild.tagName).join("; ");
})</script></head>"""


def test_no_table_is_cut_in_a_window_of_a_thousand_pixels(content: ReportContent, tmp_path: Path) -> None:
    assert content.search is not None
    one = {"trial": 12, "search_value": 0.0123, "fresh": [0.0123, 0.0125], "behind": 41.28, "behind_se": 38.84}
    candidates = ({**one, "n_parameters": 123_456, "epochs": 12},) * 2
    wide = dataclasses.replace(content, search=dataclasses.replace(content.search, candidates=candidates))
    path = tmp_path / "report.html"
    path.write_text(render(wide).replace("</head>", WIDE), encoding="utf-8")
    (cut,) = re.findall(r"<title>(.*?)</title>", in_browser(path, tmp_path / "profile", "--window-size=1000,900"), re.S)
    assert cut == ""
