"""What infer.py shows: labels, and the words that carry them, in the terminal, as JSON, as a page."""

import html
import json
import os
import shutil
import sys

from tfbert.common.systems import shows_colours
from tfbert.common.text import printable

FAINT = 0.15  # of the strongest word's score, below which a word is not shown to matter
LONG = 1000  # signs of a text that are shown
NEAR = 0.6  # of the likeliest label's probability: another one that has it may be right as well
NAMED = 5  # words for a label, and as many against it
BLUES, ORANGES = (153, 75, 33), (223, 214, 208)  # of a terminal, from weak to strong
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Why the model decides</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.7 system-ui, sans-serif; max-width: 45rem; margin: 2rem auto; padding: 0 1rem; }}
mark {{ color: inherit; background: none; border-radius: .2em; padding: .05em 0; }}
mark.for {{ background: rgb(50 130 240 / calc(var(--s) * 60%)); }}
mark.against {{ background: rgb(240 130 30 / calc(var(--s) * 60%)); }}
article {{ border-top: 1px solid #8886; padding: 1rem 0; overflow-wrap: anywhere; }}
p.text {{ white-space: pre-wrap; }}
h2 {{ font-size: 1rem; margin: 0 0 .5rem; }}
</style></head><body>
<h1>Why the model decides</h1>
<p><mark class="for" style="--s:.7">Blue</mark> words speak for the label,
<mark class="against" style="--s:.7">orange</mark> ones against it, the stronger the more. Point at a word to see how
far, in log-odds.</p>
{articles}</body></html>
"""


def show_whole(texts, result, multi_label):
    """A text, its label, and, where they are there, the words that carry it."""
    reasons = result.get("explanation") or []
    shown = [printable(text if len(text) <= LONG else f"{text[:LONG]} ... ({len(text):,} signs)") for text in texts]
    if reasons and in_colours():
        shown = [marked(text, of_part(reasons[0], part), printable, in_colour) for part, text in enumerate(texts)]
    for name, text in zip(("Text:", "and:"), shown):
        print(f"{name:7} {text}")
    label = printable(result["label"])
    if result["probability"] is None:
        print("Label:  (no label)\n")
        return
    if multi_label:
        print(f"Labels: {label or '(none)'}")
        for name, value in sorted(result["probabilities"].items(), key=lambda item: -item[1]):
            print(f"        {value:6.1%} {printable(name)}")
    else:
        unsure = ", unsure" * is_unsure(result, multi_label)
        if near := close_ones(result):
            unsure += f": {', '.join(near)}"
        print(f"Label:  {label} ({result['probability']:.1%}){unsure}")
    for each in reasons:
        name = f" {printable(each['label'])}" if multi_label else ""
        print(f"For{name}:".ljust(7), named(each["words"], 1))
        print(f"Against{name}:", named(each["words"], -1))
    if reasons:
        print()


def is_unsure(result, multi_label):
    """Whether the one label of a text has less than half of the probability, or hardly more than another."""
    if multi_label or result["probability"] is None:
        return False
    return result["probability"] < 0.5 or bool(close_ones(result))


def close_ones(result):
    """What else a text may be, with nearly the probability of its label, a list."""
    first, *others = sorted(result["probabilities"].items(), key=lambda item: -item[1])
    return [f"{printable(name)} {value:.1%}" for name, value in others[:3] if value > NEAR * first[1]]


def show_line(texts, result, multi_label):
    head = "(no label)  "
    if result["probability"] is not None:
        unsure = "?" if is_unsure(result, multi_label) else " "
        head = f"{printable(result['label']) or '(none)'} {result['probability']:6.1%}{unsure} "
    text = printable(" / ".join(" ".join(text.split()) for text in texts))
    width = max(shutil.get_terminal_size().columns - len(head), 20)
    print(head + (text if len(text) <= width else text[: width - 3] + "..."))


def show_json(texts, result, multi_label):
    as_escapes = "utf" not in sys.stdout.encoding.lower()  # as where Windows writes into a file
    print(json.dumps({"text": texts[0] if len(texts) == 1 else texts, **result}, ensure_ascii=as_escapes))


def in_colours():
    """Whether standard output shows them: a terminal, whose user did not ask for none (no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty() and shows_colours()


def of_part(reason, part):
    """The words of one text of a pair."""
    return [word for word in reason["words"] if word.get("part", 0) == part]


def strongest(words, sign):
    """Those that speak for a label most, or, with a sign of -1, against it; at most NAMED."""
    faint = FAINT * max((abs(word["score"]) for word in words), default=0)
    ordered = sorted(words, key=lambda word: -sign * word["score"])
    return [word for word in ordered if sign * word["score"] > faint][:NAMED]


def named(words, sign):
    return ", ".join(f"{printable(word['text'])} {word['score']:+.2f}" for word in strongest(words, sign)) or "-"


def marked(text, words, show, mark):
    """A text as show() gives it, and its words, where they matter, as mark(shown, strength from -1 to 1, word) does."""
    most = max((abs(word["score"]) for word in words), default=0)
    parts, place = [], 0
    for word in words:
        if most and abs(word["score"]) > FAINT * most and word["start"] >= place:
            shown = show(text[word["start"] : word["end"]])
            parts += [show(text[place : word["start"]]), mark(shown, word["score"] / most, word)]
            place = word["end"]
    return "".join([*parts, show(text[place:])])


def in_colour(shown, strength, word):
    shades = BLUES if strength > 0 else ORANGES
    return f"\033[48;5;{shades[min(2, int(abs(strength) * 3))]}m\033[38;5;16m{shown}\033[0m"


def in_html(shown, strength, word):
    kind = "for" if strength > 0 else "against"
    return f'<mark class="{kind}" style="--s:{abs(strength):.2f}" title="{word["score"]:+.2f}">{shown}</mark>'


def page_of(explained):
    """A page in HTML. explained: (texts, result) of each."""
    articles = []
    for texts, result in explained:
        for reason in result["explanation"]:
            head = f"{html.escape(reason['label'])} ({result['probabilities'][reason['label']]:.1%})"
            shown = [marked(text, of_part(reason, part), html.escape, in_html) for part, text in enumerate(texts)]
            paragraphs = "".join(f'<p class="text">{text}</p>' for text in shown)
            articles.append(f"<article><h2>{head}</h2>{paragraphs}</article>\n")
    return PAGE.format(articles="".join(articles))
