"""Fonts that have the signs of labels' names, as far as the system has some."""

import unicodedata

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

NOT_FOR_TEXT = ("Last Resort", "STIX", "cm")  # draw boxes that name a script, or are for formulas
OF_EAST_ASIA = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH")
NO_FONT = (OSError, RuntimeError, ValueError, NotImplementedError)  # Matplotlib's errors on files that it cannot use


def choose_fonts(names):
    """Has Matplotlib draw `names`, a list of str, in the font that is set and, for signs that it lacks, in others.

    Returns the signs that no font of the system has, a set of str.
    """
    usual = font_manager.get_font(font_manager.findfont(FontProperties(family=["sans-serif"])))
    missing = {sign for name in names for sign in name if has_a_picture(sign)} - signs_of(usual)
    families = [usual.family_name]
    there = [(missing & signs, family) for family, signs in other_fonts()] if missing else []
    while missing and there:
        signs, family = max(there, key=lambda font: len(font[0] & missing))
        if not signs & missing:
            break
        families.append(family)
        missing = missing - signs
    matplotlib.rcParams["font.family"] = families
    return missing


def has_a_picture(sign):
    """Whether a font must have a sign: not blanks, and not what only changes the signs beside it."""
    return not sign.isspace() and unicodedata.category(sign)[0] != "C" and not "\ufe00" <= sign <= "\ufe0f"


def other_fonts():
    """Yields the families of all fonts of the system, in order, with their signs."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in set(font_manager.findSystemFonts()) - known:  # installed after Matplotlib listed them
        try:
            font_manager.fontManager.addfont(path)
        except NO_FONT:
            continue
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.name, abs(entry.weight - 400))):
        if entry.style == "normal" and not entry.name.startswith(NOT_FOR_TEXT):
            try:
                yield entry.name, signs_of(font_manager.get_font(font_manager.FontPath(entry.fname, entry.index)))
            except NO_FONT:
                continue


def signs_of(font):
    return set(map(chr, font.get_charmap()))


def font_to_install(signs):
    """In words, which fonts have these signs."""
    packages = {"Noto Sans CJK": "fonts-noto-cjk", "Symbola": "fonts-symbola", "Noto Sans": "fonts-noto-core"}
    wanted = sorted({family_for(sign) for sign in signs})
    return f"{' and '.join(wanted)} (Debian and Ubuntu: apt install {' '.join(packages[each] for each in wanted)})"


def family_for(sign):
    if unicodedata.name(sign, "").startswith(OF_EAST_ASIA):
        return "Noto Sans CJK"
    return "Symbola" if unicodedata.category(sign).startswith("S") else "Noto Sans"
