"""Regions of two parameters: contours of -2 log L, profiled over all others, as polygons with exact vertices.

By Wilks' theorem the region below the minimum + χ²₂ quantile, 2.30 at 68.3 %, covers the pair of true values with that
probability. That is not the region below the minimum + 1, whose projections are the 68.3 % intervals of either parameter but
which holds both with 39.3 %: ``degrees_of_freedom=1`` gives that one. iminuit's ``mncontour`` follows one closed curve
around one minimum; here a scan finds all pieces, around every minimum, across periods and up to bounds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import contourpy
import numpy as np
from iminuit import Minuit
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import chi2

from bmem.errors import FitError, InputError
from bmem.inference.minima import FitResult
from bmem.inference.newton import conditional_minimum
from bmem.inference.objective import Objective, scan_grid
from bmem.process.contract import Parameter

Array = NDArray[np.float64]
Window = tuple[tuple[float, float], tuple[float, float]]
"""Ranges of x and of y."""

LEVELS = (0.683, 0.954)
_SCAN = 161
"""Points along each axis of the scan of two parameters ..."""
_PROFILED_SCAN = 31
"""... and if others have to be profiled at each."""
_SMALL = 1 / 4
"""A piece of less than this share of the scan's range, along either axis, is scanned again."""
_POLISH = 8
_PRECISION = 1e-8
"""Vertices lie on the contour within this in -2 log L."""


@dataclass(frozen=True)
class ContourPath:
    """One line of a contour: ``points`` (x, y) in order, angles continuous and perhaps beyond their range.

    It is ``closed`` if the last point joins the first; else it ends at a bound, or goes around a period.
    """

    points: tuple[tuple[float, float], ...]
    closed: bool

    @property
    def area(self) -> float:
        """Enclosed area, for a closed path."""
        x, y = np.array(self.points).T
        return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


@dataclass(frozen=True)
class Contour:
    """The boundary of the region of ``level``: where -2Δlog L = ``threshold``, in ``paths`` (none: all is inside)."""

    level: float
    threshold: float
    paths: tuple[ContourPath, ...]


@dataclass(frozen=True)
class ContourSet:
    """Contours of two ``parameters`` (x, y) about the minima of a fit.

    ``minima`` (x, y, -2Δlog L) of all of them, the best first; ``degrees_of_freedom`` 2 if the levels are the probability
    to hold both parameters, 1 if that of each projection.
    """

    parameters: tuple[Parameter, Parameter]
    contours: tuple[Contour, ...]
    minima: tuple[tuple[float, float, float], ...]
    degrees_of_freedom: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> ContourSet:
        """The inverse of ``to_dict``, also after JSON made lists of the tuples.

        Raises:
            InputError: it is the dictionary of something else.
        """
        try:
            x, y = (Parameter.from_dict(p) for p in content["parameters"])
            contours = tuple(
                Contour(c["level"], c["threshold"], tuple(_path(p) for p in c["paths"])) for c in content["contours"]
            )
            minima = tuple((a, b, delta) for a, b, delta in content["minima"])
            return cls((x, y), contours, minima, content["degrees_of_freedom"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not the dictionary of a contour set: {error!r}") from error


def _path(content: dict[str, Any]) -> ContourPath:
    return ContourPath(tuple((x, y) for x, y in content["points"]), content["closed"])


def contours(
    objective: Objective,
    result: FitResult,
    levels: tuple[float, ...] = LEVELS,
    indices: tuple[int, int] = (0, 1),
    degrees_of_freedom: int = 2,
) -> ContourSet:
    """The contours of two parameters of ``objective``; all others are profiled.

    Args:
        objective: the likelihood, as given to ``fit``.
        result: its fit.
        levels: in (0, 1).
        indices: of the parameters along x and y.
        degrees_of_freedom: 2 or 1, see ``ContourSet``.

    Raises:
        InputError: a level is outside (0, 1), or the indices are not two different parameters.
        FitError: -2 log L falls below the minimum of ``result``: it is not the fit of this objective.
    """
    count = len(objective.parameters)
    if not all(0 < level < 1 for level in levels):
        raise InputError(f"confidence levels lie between 0 and 1, not {levels}")
    if len(set(indices)) != 2 or not all(0 <= i < count for i in indices) or degrees_of_freedom not in (1, 2):
        raise InputError(f"contours need two of the {count} parameters, not {indices}, and 1 or 2 degrees of freedom")
    surface = _Profile(objective, indices)
    x, y = surface.parameters
    whole = surface.scan((_range(x), _range(y)))
    lowest = result.floor
    if whole.values.min() < lowest - 1e-3:
        raise FitError(f"-2 log L falls {lowest - whole.values.min():.3g} below the fitted minimum; fit again")
    deltas = [float(objective.value(np.array(m.theta))) - lowest for m in result.minima]
    minima = np.array([[*np.array(m.theta)[list(indices)], d] for m, d in zip(result.minima, deltas, strict=True)])
    found = []
    for level in levels:
        threshold = float(chi2.ppf(level, degrees_of_freedom))
        inside = minima[minima[:, 2] <= threshold, :2]
        patches = _patches(surface, _unwound(whole, lowest + threshold, (x, y)), lowest + threshold, inside)
        paths = tuple(path for patch in patches for path in _paths(surface, patch, lowest + threshold))
        found.append(Contour(float(level), threshold, paths))
    return ContourSet((x, y), tuple(found), tuple((float(a), float(b), float(d)) for a, b, d in minima), degrees_of_freedom)


@dataclass(frozen=True)
class _Scan:
    """``values`` [X, Y] on the product of the points ``x`` [X] and ``y`` [Y]."""

    x: Array
    y: Array
    values: Array


class _Profile:
    """-2 log L of two parameters, minimised over all others."""

    def __init__(self, objective: Objective, indices: tuple[int, int]) -> None:
        self.objective, self.indices = objective, list(indices)
        self.parameters = tuple(objective.parameters[i] for i in indices)
        self.others = [i for i in range(len(objective.parameters)) if i not in indices]
        self._starts = scan_grid(tuple(objective.parameters[i] for i in self.others)) if self.others else np.zeros((1, 0))

    def scan(self, window: Window) -> _Scan:
        x, y = (np.linspace(*side, _PROFILED_SCAN if self.others else _SCAN) for side in window)
        points = np.stack(np.meshgrid(x, y, indexing="ij"), -1)
        if self.others:
            return _Scan(x, y, np.array([[self.objective.value(self._theta(p)) for p in row] for row in points]))
        return _Scan(x, y, self.objective.value(points[..., np.argsort(self.indices)]))

    def __call__(self, point: Array) -> tuple[float, Array]:
        """Value and gradient [2] at one point; at the minimum over the others the gradient is that of -2 log L itself."""
        theta = self._theta(point)
        return float(self.objective.value(theta)), self.objective.gradient(theta)[self.indices]

    def _theta(self, point: Array) -> Array:
        """The point completed by the values of the other parameters that minimise -2 log L."""
        thetas = np.empty((len(self._starts), len(self.objective.parameters)))
        thetas[:, self.indices], thetas[:, self.others] = point, self._starts
        if not self.others:
            return thetas[0]
        if all(self.objective.parameters[i].nuisance for i in self.others):
            return conditional_minimum(self.objective, thetas[0], self.others)
        minuit = Minuit(self.objective, *thetas[np.argmin(self.objective.value(thetas))])
        for i in self.indices:
            minuit.fixed[i] = True
        minuit.strategy = 0
        minuit.migrad()
        return np.array(minuit.values)


def _range(parameter: Parameter) -> tuple[float, float]:
    low, high = parameter.bounds
    return low, high if parameter.period is None else low + parameter.period


def _unwound(scan: _Scan, threshold: float, parameters: tuple[Parameter, ...]) -> _Scan:
    """Every angle cut open where the region is not, if there is such a place, instead of at the end of its range."""
    x, values = _turned(scan.x, scan.values, threshold, parameters[0].period)
    y, flipped = _turned(scan.y, values.T, threshold, parameters[1].period)
    return _Scan(x, y, flipped.T)


def _turned(points: Array, values: Array, threshold: float, period: float | None) -> tuple[Array, Array]:
    highest = int(np.argmax(values.min(1)))
    if period is None or values[highest].min() <= threshold:
        return points, values
    turned = np.concatenate([points[highest:-1], points[: highest + 1] + period])
    return turned, np.concatenate([values[highest:-1], values[: highest + 1]])


def _patches(surface: _Profile, scan: _Scan, threshold: float, minima: Array) -> list[_Scan]:
    """Finer scans that hold the pieces of the region, finer again where a piece fills little of its own."""
    at = _brought_into(scan, minima, surface.parameters)
    span, found = np.array([np.ptp(scan.x), np.ptp(scan.y)]), []
    windows = [_grown(surface, scan, window, threshold) for window in _windows(scan, threshold, at)]
    for window in _disjoint(windows):
        patch = surface.scan(window)
        small = np.ptp(np.array(window), axis=1) < _SMALL * span
        found += _patches(surface, patch, threshold, at) if small.any() else [patch]
    return found


def _grown(surface: _Profile, scan: _Scan, window: Window, threshold: float) -> Window:
    """Wider by half, on every side that the region crosses, until it crosses none or the scan ends there.

    A thin and tilted region slips between the points of a scan and may be longer than it looks.
    """
    ends = ((scan.x[0], scan.x[-1]), (scan.y[0], scan.y[-1]))
    while True:
        below = surface.scan(window).values <= threshold
        crossed = ((below[0].any(), below[-1].any()), (below[:, 0].any(), below[:, -1].any()))
        wider = tuple(
            (max(first, low - (high - low) / 2 * at_low), min(last, high + (high - low) / 2 * at_high))
            for (low, high), (first, last), (at_low, at_high) in zip(window, ends, crossed, strict=True)
        )
        if wider == window:
            return window
        window = (wider[0], wider[1])


def _brought_into(scan: _Scan, minima: Array, parameters: tuple[Parameter, ...]) -> Array:
    """Those of the points ``minima`` [m, 2] that lie in the scan, angles by whole turns."""
    first, last = np.array([scan.x[0], scan.y[0]]), np.array([scan.x[-1], scan.y[-1]])
    for i, p in enumerate(parameters):
        if p.period is not None:
            minima = minima.copy()
            minima[:, i] = first[i] + np.mod(minima[:, i] - first[i], p.period)
    return minima[((minima >= first) & (minima <= last)).all(1)]


def _windows(scan: _Scan, threshold: float, minima: Array) -> list[Window]:
    """Ranges that hold the pieces of the region with a margin of a step."""
    below = scan.values <= threshold
    # a region narrower than a step shows in no point of the scan, but around its minimum
    below[_nearest(scan.x, minima[:, 0]), _nearest(scan.y, minima[:, 1])] = True
    labels, _ = ndimage.label(ndimage.binary_dilation(below, np.ones((3, 3))), np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    return [(_ends(scan.x[along_x]), _ends(scan.y[along_y])) for along_x, along_y in boxes]


def _ends(points: Array) -> tuple[float, float]:
    return float(points[0]), float(points[-1])


def _nearest(points: Array, x: Array) -> NDArray[np.int64]:
    return np.abs(points[:, None] - x).argmin(0)


def _disjoint(windows: list[Window]) -> list[Window]:
    """Overlapping windows joined until none overlap."""
    for i, a in enumerate(windows):
        for j, b in enumerate(windows[:i]):
            if all(
                low <= other_high and other_low <= high for (low, high), (other_low, other_high) in zip(a, b, strict=True)
            ):
                (x, y) = ((min(p[0], q[0]), max(p[1], q[1])) for p, q in zip(a, b, strict=True))
                return _disjoint([*(window for k, window in enumerate(windows) if k not in (i, j)), (x, y)])
    return windows


def _paths(surface: _Profile, patch: _Scan, threshold: float) -> list[ContourPath]:
    """The contour lines of one patch, every vertex moved onto the contour along the gradient."""
    generator = contourpy.contour_generator(patch.x, patch.y, patch.values.T, line_type=contourpy.LineType.Separate)
    paths = []
    for line in map(np.asarray, generator.lines(threshold)):
        closed = bool((line[0] == line[-1]).all())
        vertices = [_polished(surface, v, threshold, patch) for v in (line[:-1] if closed else line)]
        paths.append(ContourPath(tuple((float(x), float(y)) for x, y in vertices), closed))
    return paths


def _polished(surface: _Profile, vertex: Array, threshold: float, patch: _Scan) -> Array:
    """Newton's steps along the gradient, in units of the patch's steps and at most one long; along its edge where on it."""
    step = np.array([patch.x[1] - patch.x[0], patch.y[1] - patch.y[0]])
    low, high = np.array([patch.x[0], patch.y[0]]), np.array([patch.x[-1], patch.y[-1]])
    point = np.array(vertex, np.float64)
    free = (point > low) & (point < high)
    for _ in range(_POLISH):
        value, gradient = surface(point)
        slope = gradient * step * free
        if abs(value - threshold) < _PRECISION or not slope.any():
            break
        move = (threshold - value) * slope / (slope @ slope)
        point = np.clip(point + step * move / max(1.0, float(np.linalg.norm(move))), low, high)
    return point
