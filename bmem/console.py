"""Words for what a terminal cannot show: with an ASCII terminal (PYTHONIOENCODING=ascii, LANG=C) commands say "alpha"."""

from __future__ import annotations

import codecs
import io
import sys

_HANDLER = "bmem.spelled"
_SPELLED = {
    **{"α": "alpha", "σ": "sigma", "θ": "theta", "Δ": "Delta", "π": "pi", "χ": "chi", "γ": "gamma", "√": "sqrt"},
    **{"±": "+-", "°": " deg", "²": "^2", "×": "x", "−": "-", "–": "-", "→": "->", "…": "...", "∪": "and", "∞": "inf"},
    **{"≤": "<=", "≥": ">=", "\u0302": "_hat", "\u0304": "bar", "’": "'", "“": '"', "”": '"', "·": "*", "Σ": "Sum"},
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
    return "".join(_SPELLED.get(character, "?") for character in error.object[error.start : error.end]), error.end
