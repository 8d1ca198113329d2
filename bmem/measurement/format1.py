"""Measurements as bmem wrote them before they were records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EXTERNAL = {"strength": "mu", "kappa_S": "kappa_s", "kappa_P": "kappa_p"}
"""Constraints had the names of the configuration."""


def upgraded(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ``Measurement`` from the plain values of old; what came later is None or empty."""
    copied = {name: content[name] for name in ("events", "replicas", "excluded")}
    belt, goodness = content.get("belt") or {}, content.get("goodness") or {}
    fractions = [fraction["intervals"] for fraction in content.get("fractions", ())]
    parts = {"belt": belt, "goodness": goodness}
    return {
        **copied,
        "budget": _budget(content["budget"]),
        "observed": False,
        "unread": 0,
        "influence": content.get("influence"),
        "posterior": _without(content.get("posterior"), "printed_intervals"),
        "available": None,
        "intervals": [content["intervals"], *fractions],
        "curve": {"theta": content["theta"], "delta": content["delta"], "resamples": content["curves"] or None},
        "constraints": _constraints(content),
        "belt": _without(belt, "printed_intervals") if "intervals" in belt else None,
        "goodness": goodness if "observed" in goodness else None,
        "further": {name: _further(content[name]) for name in ("couplings", "strength") if content.get(name)},
        "refused": {name: part["refused"] for name, part in parts.items() if "refused" in part},
    }


def _further(content: Mapping[str, Any]) -> dict[str, Any]:
    copied = {name: content[name] for name in ("contours", "excluded")}
    parts = {"budget": _budget(content["budget"]), "constraints": _constraints(content)}
    return {**copied, **parts, "intervals": content.get("intervals", ())}


def _constraints(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**c, "parameter": _EXTERNAL.get(c["parameter"], c["parameter"])} for c in content.get("constraints", ())]


def _without(content: Mapping[str, Any] | None, name: str) -> dict[str, Any] | None:
    return None if content is None else {key: value for key, value in content.items() if key != name}


def _budget(content: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of the network error were not told apart."""
    unknown = [None] * len(content["statistical"])
    return {"simulation": unknown, "weights": None, "effective_replicas": None, **content}
