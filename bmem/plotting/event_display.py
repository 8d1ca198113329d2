"""Event display: the reconstructed objects of one event, in the transverse plane and in η and φ.

Objects with a radius are cones (circles in η-φ), the others lines (diamonds).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Wedge
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from bmem.channels.contract import DisplayObject
from bmem.plotting.style import LEARNED, QUIET, SECOND, THIRD

Array = NDArray[np.float64]

_ETA = 5.0
_GAP = 0.3
"""Smallest distance in φ of two labels around the transverse view."""
Objects = Sequence[DisplayObject]


def event_figure(width: float = 7.0, height: float = 3.1) -> tuple[Figure, tuple[Axes, Axes]]:
    """A figure with a panel for ``draw_transverse`` and one for ``draw_eta_phi``; call it inside ``with house_style():``."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(width, height), width_ratios=(1, 1.25))
    return figure, (left, right)


def draw_event(panels: tuple[Axes, Axes], objects: Objects, title: str = "") -> dict[str, Any]:
    """Draw both views of an event with a ``title`` over them: {"transverse": ..., "eta_phi": ..., "legend": ...}."""
    transverse, flat = panels
    artists: dict[str, Any] = {"transverse": draw_transverse(transverse, objects)}
    artists["eta_phi"] = draw_eta_phi(flat, objects)
    handles = list({o.name: _handle(o) for o in objects}.values())
    artists["legend"] = flat.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.2)
    if title:
        flat.figure.suptitle(title, x=0.01, ha="left", fontsize=transverse.yaxis.label.get_fontsize())
    return artists


def draw_transverse(axes: Axes, objects: Objects) -> dict[str, Any]:
    """Draw an event seen along the beam: lengths are transverse momenta in GeV, as written beside the objects.

    Returns "lines", "cones" (wedges), "labels" and "ring", whose radius is the largest transverse momentum.
    """
    top = max([o.pt for o in objects], default=1.0)
    artists: dict[str, Any] = {"lines": [], "cones": [], "labels": []}
    artists["ring"] = axes.add_patch(Circle((0, 0), top, fill=False, ec=QUIET, lw=0.7, ls=(0, (1, 2))))
    for o in objects:
        if not o.radius:
            ends = ([0, o.pt * math.cos(o.phi)], [0, o.pt * math.sin(o.phi)])
            artists["lines"] += axes.plot(*ends, color=_color(o), lw=1.6, zorder=3)
        else:
            low, high = (math.degrees(o.phi + sign * o.radius) for sign in (-1, 1))
            artists["cones"].append(axes.add_patch(Wedge((0, 0), o.pt, low, high, color=_color(o), alpha=0.5, lw=0)))
    for o, angle in zip(objects, _spread(np.array([o.phi for o in objects])), strict=True):
        artists["labels"].append(_label_around(axes, o, float(angle), top))
    axes.plot(0, 0, "o", ms=2.5, color=QUIET)
    axes.set(xlim=(-1.55 * top, 1.55 * top), ylim=(-1.55 * top, 1.55 * top), aspect="equal")
    axes.set(xlabel=r"$p_x$ [GeV]", ylabel=r"$p_y$ [GeV]")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, steps=(1, 2, 5, 10), symmetric=True))
    return artists


def draw_eta_phi(axes: Axes, objects: Objects) -> dict[str, Any]:
    """Draw an event in η and φ; what crosses φ = ±π comes in again at the other side, η beyond ±5 at the edge.

    Returns "lines" (markers), "cones" (circles, two for those that cross) and "labels".
    """
    artists: dict[str, Any] = {"lines": [], "cones": [], "labels": []}
    objects = [replace(o, eta=float(np.clip(o.eta, -_ETA, _ETA))) for o in objects]
    for o in objects:
        if not o.radius:
            artists["lines"] += axes.plot(o.eta, o.phi, "D", ms=4.5, color=_color(o), zorder=3)
        else:
            turns = [turn for turn in (-1, 0, 1) if abs(o.phi + 2 * math.pi * turn) < math.pi + o.radius]
            places = [(o.eta, o.phi + 2 * math.pi * turn) for turn in turns]
            circles = [Circle(place, o.radius, color=_color(o), alpha=0.5, lw=0) for place in places]
            artists["cones"] += [axes.add_patch(circle) for circle in circles]
    taken = np.array([[o.eta, o.phi] for o in objects]).reshape(-1, 2)
    for o in objects:
        place = _free_place(o, taken)
        taken = np.concatenate([taken, place[None]])
        artists["labels"].append(
            axes.text(place[0], place[1], _label(o), ha="center", va="center", fontsize=7.5, color=_color(o))
        )
    axes.axvline(0, color=QUIET, lw=0.5, ls=(0, (1, 2)), zorder=0)
    axes.set(xlim=(-_ETA - 0.4, _ETA + 0.4), ylim=(-math.pi, math.pi), aspect="equal", xlabel=r"$\eta$", ylabel=r"$\phi$")
    axes.set_yticks([-math.pi, -math.pi / 2, 0, math.pi / 2, math.pi], [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"])
    axes.yaxis.set_minor_locator(NullLocator())
    return artists


def _color(o: DisplayObject) -> str:
    return (SECOND if o.marked else LEARNED) if o.radius else THIRD


def _label(o: DisplayObject) -> str:
    return f"${o.symbol}$ {o.pt:.0f}"


def _handle(o: DisplayObject) -> Line2D | Patch:
    """Of the legend."""
    if o.radius:
        return Patch(color=_color(o), alpha=0.6, lw=0, label=o.name)
    return Line2D([], [], color=_color(o), lw=1.6, label=o.name)


def _free_place(o: DisplayObject, taken: Array) -> Array:
    """(η, φ) above, below, right or left of ``o``, where there is most room between the places ``taken`` [n, 2]."""
    distance = o.radius + 0.25 if o.radius else 0.35
    steps = np.array([[0.0, distance], [0.0, -distance], [distance + 0.35, 0.0], [-distance - 0.35, 0.0]])
    places = np.array([o.eta, o.phi]) + steps
    places[2:, 1] = np.clip(places[2:, 1], 0.2 - math.pi, math.pi - 0.2)
    others = taken[(taken != [o.eta, o.phi]).any(axis=1)]
    room = np.hypot(*(places[:, None] - others).transpose(2, 0, 1)).min(axis=1, initial=1.0)
    inside = (np.abs(places[:, 1]) < math.pi - 0.19) & (np.abs(places[:, 0]) < _ETA)
    return np.asarray(places[np.argmax(np.where(inside, room, -1.0))])


def _spread(phi: Array) -> Array:
    """Angles [n] near ``phi`` that keep a distance of ``_GAP`` from each other where there is room."""
    angles = phi.copy()
    for _ in range(50):
        order = np.argsort(np.mod(angles, 2 * np.pi))
        following = np.roll(order, -1)
        gaps = np.mod(angles[following] - angles[order], 2 * np.pi)
        push = np.clip(_GAP - gaps, 0.0, None) / 2 if len(angles) > 1 else np.zeros(len(angles))
        angles[order] -= 0.5 * push
        angles[following] += 0.5 * push
    return angles


def _label_around(axes: Axes, o: DisplayObject, angle: float, top: float) -> Any:
    """The label outside the ring, with a thin line to the tip of its object."""
    x, y = math.cos(angle), math.sin(angle)
    axes.plot([o.pt * math.cos(o.phi), 1.04 * top * x], [o.pt * math.sin(o.phi), 1.04 * top * y], color=_color(o), lw=0.4)
    side = "left" if x > 0.25 else "right" if x < -0.25 else "center"
    height = "bottom" if y > 0.6 else "top" if y < -0.6 else "center"
    return axes.text(1.07 * top * x, 1.07 * top * y, _label(o), ha=side, va=height, fontsize=7.5, color=_color(o))
