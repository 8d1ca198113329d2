"""Words for what a terminal cannot show: with an ASCII terminal (PYTHONIOENCODING=ascii, LANG=C) commands say "sigma"."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

_HANDLER = "bmem.spelled"
_SPELLED = {
    **{"√": "sqrt", "±": "+-", "°": " deg", "²": "^2", "×": "x", "−": "-", "–": "-", "→": "->", "…": "..."},
    **{"≤": "<=", "≥": ">=", "\u0302": "_hat", "\u0304": "bar", "’": "'", "“": '"', "”": '"', "·": "*"},
    **{"∪": "and", "∞": "inf", "Σ": "Sum", "λ": "lambda", "Λ": "Lambda"},
}


def spell_out() -> None:
    """Let standard output and error write words instead of failing at a character that they do not have."""
    codecs.register_error(_HANDLER, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_word, error.object[error.start : error.end])), error.end


def _word(character: str) -> str:
    """The word for a character: of a Greek letter its name."""
    if character in _SPELLED:
        return _SPELLED[character]
    alphabet, _, name = unicodedata.name(character, "").partition(" LETTER ")
    return {"GREEK SMALL": name.lower(), "GREEK CAPITAL": name.capitalize()}.get(alphabet, "?")
