"""The page of serve.py in a real browser; skipped where there is none."""

import shutil

import pytest

pytest.importorskip("fastapi", reason="requirements-serve.txt is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from test_serving import TEXTS, app_of, serving

from tfbert.inference.predicting import Predictor

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(trained):
    with serving(app_of(trained)) as address:
        yield address


@pytest.fixture
def page(browser, address):
    """The page, opened; no script of it may fail, and nothing comes from elsewhere."""
    page = browser.new_page(bypass_csp=True)
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: troubles.append(request.url)
            if not request.url.startswith((address, "blob:", "data:")) else None)  # fmt: skip
    page.goto(address)
    page.wait_for_function("info !== null")
    yield page
    assert troubles == []
    page.close()


def test_a_text_is_labelled_and_explained_as_one_stops_typing(page, trained):
    text = "the film was really dull 🙂, a plot"
    page.fill("#text", text)
    page.wait_for_selector("#words mark", timeout=30_000)
    (result,) = Predictor(trained)([text])
    assert page.inner_text("#answer") == f"{result['label']} ({result['probability']:.1%})"
    assert page.inner_text("#words") == text and "dull" in page.inner_text("#named")
    assert page.locator("#bars .bar").count() == 2
    page.fill("#text", "  ")
    page.wait_for_selector("#result", state="hidden")
    page.fill("#text", "☃☃")
    page.wait_for_function("document.getElementById('problem').textContent.includes('no word')")


def test_figures_and_pictures_are_in_a_tab_that_keys_reach(page):
    page.focus("#tab-try")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#tab-good", "aria-selected") == "true" and page.is_visible("#good")
    assert page.evaluate("document.activeElement.id") == "tab-good" and not page.is_visible("#try")
    assert "accuracy" in page.inner_text("#figures")
    page.wait_for_function("[...document.querySelectorAll('#plots img')].every(each => each.naturalWidth > 100)")
    assert page.locator("#plots img").count() == 4  # loss, accuracy, confusions, ROC
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#try")


@pytest.mark.parametrize("name, content, column", [
    ("some.csv", 'id;review\n1;"a ""lovely"" film; really"\n2;the plot was dull.\n3;\n', "1"),
    ("some.tsv", "text\tid\na lovely film\t1\nthe plot was dull.\t2\n\t3\n", "0"),
    ("some.txt", "a lovely film\nthe plot was dull.\n\n", None),
])  # fmt: skip
def test_a_file_comes_back_with_labels(page, trained, tmp_path, name, content, column):
    path = tmp_path / name
    path.write_text(content)
    page.click("#tab-file")
    page.set_input_files("#pick", path)
    if column is not None:
        page.wait_for_selector("#columns", state="visible")
        assert page.input_value("#column") == column
        page.click("#go")
    page.wait_for_selector("#save", state="visible", timeout=30_000)
    with page.expect_download() as download:
        page.click("#save")
    rows = open(download.value.path(), encoding="utf-8-sig").read().splitlines()
    assert rows[0].endswith('"label","probability"') and download.value.suggested_filename == "some-labels.csv"
    wanted = [result["label"] for result in Predictor(trained)(["a lovely film", "the plot was dull."])]
    assert [f'"{label}"' in row for label, row in zip(wanted, rows[1:])] == [True, True]
    assert column is None or rows[3].endswith('"",""')
    assert page.locator("#table tbody tr").count() == len(rows) - 1


def test_long_texts_are_sent_in_parts_that_the_server_takes(page, tmp_path):
    signs = page.evaluate("info.limits.signs")
    long = "a lovely film. " * (signs // 15 // 3)
    path = tmp_path / "long.txt"
    path.write_text("\n".join([*[long] * 5, "word " * (signs // 4), "the plot was dull."]))
    page.click("#tab-file")
    page.set_input_files("#pick", path)
    page.wait_for_selector("#save", state="visible", timeout=60_000)
    cells = page.locator("#table tbody td:first-child").all_inner_texts()
    assert cells == ["positive"] * 5 + ["(no label)", "negative"]
    assert "1 longer than 200,000 characters are left out" in page.inner_text("#progress")


@pytest.mark.parametrize("content, words", [
    (b'text,label\n"It is fine,a\nbad film,b\n', "a quotation mark is never closed"),
    (b"text,label\nA film, which is bad,neg\n", "row 2 has 3 cells"),
    ("text\nein schöner Film\n".encode("utf-16"), "not UTF-8"),
])  # fmt: skip
def test_files_that_would_melt_are_refused(page, tmp_path, content, words):
    (tmp_path / "odd.csv").write_bytes(content)
    page.click("#tab-file")
    page.set_input_files("#pick", tmp_path / "odd.csv")
    page.wait_for_function("document.getElementById('progress').textContent !== ''")
    assert words in page.inner_text("#progress") and not page.is_visible("#columns")


def test_it_fits_a_phone_and_has_a_name_for_every_field(browser, address):
    page = browser.new_page(bypass_csp=True, viewport={"width": 360, "height": 700}, color_scheme="dark")
    page.goto(address)
    page.fill("#text", TEXTS[1])
    page.wait_for_selector("#words mark", timeout=30_000)
    for tab in ("try", "file", "good"):
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    unnamed = "[...document.querySelectorAll('textarea, input, select')].filter(each => !each.labels.length).length"
    assert page.evaluate(unnamed) == 0 and page.get_attribute("html", "lang") == "en"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    page.close()


def test_a_locked_server_asks_for_its_key(browser, trained):
    with serving(app_of(trained, api_key="secret")) as address:
        page = browser.new_page(bypass_csp=True)
        page.goto(address)
        page.wait_for_selector("#lock", state="visible")
        page.fill("#key", "secret")
        page.press("#key", "Enter")
        page.wait_for_function("info !== null")
        page.fill("#text", TEXTS[0])
        page.wait_for_selector("#words mark", timeout=30_000)
        assert not page.is_visible("#lock")
        page.close()
