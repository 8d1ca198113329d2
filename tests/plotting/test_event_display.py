"""Event display: every object is drawn once, where it is and as long as its transverse momentum, and named."""

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from bmem.channels import load_channel
from bmem.channels.contract import display
from bmem.channels.thj.display import RADIUS
from bmem.errors import InputError
from bmem.events.record import JET_FEATURES, PHOTON_FEATURES, Objects, RecoEvents
from bmem.plotting.event_display import draw_eta_phi, draw_event, draw_transverse, event_figure
from bmem.plotting.style import LEARNED, SECOND, new_figure


@pytest.fixture
def events():
    """Two events: the second one has one photon, a jet across φ = π, a b jet, a jet beyond |η| = 5; padding elsewhere."""
    photons = torch.tensor([[[50.0, 0.1, 0.2, 1], [30, 0.4, 1.0, 1]], [[60, -1.0, 1.5, 1], [0, 0, 0, 0]]])
    jets = torch.tensor(
        [
            [[80.0, 0.0, 2.0, 9, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
            [[120, 1.0, 3.0, 9, 0], [80, -0.5, -1.0, 9, 1], [40, 5.5, 0.5, 9, 0]],
        ]
    )
    return RecoEvents(
        {
            "photons": Objects(photons, photons[..., 0] > 0, PHOTON_FEATURES),
            "jets": Objects(jets, jets[..., 0] > 0, JET_FEATURES),
        }
    )


def test_transverse_view(axes, events):
    artists = draw_transverse(axes, display(load_channel("thj"), events, 1))
    assert artists["ring"].get_radius() == 120
    (photon,) = artists["lines"]
    np.testing.assert_allclose([photon.get_xdata()[1], photon.get_ydata()[1]], [60 * math.cos(1.5), 60 * math.sin(1.5)])
    assert [wedge.r for wedge in artists["cones"]] == [120, 80, 40]
    middles = [math.radians((wedge.theta1 + wedge.theta2) / 2) for wedge in artists["cones"]]
    np.testing.assert_allclose(np.cos(middles), np.cos([3.0, -1.0, 0.5]))
    assert artists["cones"][0].theta2 - artists["cones"][0].theta1 == pytest.approx(math.degrees(2 * RADIUS))
    assert [to_hex(wedge.get_facecolor()).upper() for wedge in artists["cones"]] == [LEARNED, SECOND, LEARNED]
    assert [label.get_text() for label in artists["labels"]] == [r"$\gamma$ 60", "$j$ 120", "$b$ 80", "$j$ 40"]
    assert axes.get_aspect() == 1


def test_eta_phi_view(axes, events):
    artists = draw_eta_phi(axes, display(load_channel("thj"), events, 1))
    (photon,) = artists["lines"]
    assert (photon.get_xdata()[0], photon.get_ydata()[0]) == (-1.0, 1.5)
    centres = [circle.center for circle in artists["cones"]]
    np.testing.assert_allclose(centres, [(1, 3 - 2 * math.pi), (1, 3), (-0.5, -1), (5, 0.5)])
    assert len(artists["labels"]) == 4


def overlap(labels, axes):
    axes.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in labels]
    return [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if a.overlaps(b)]


def test_labels_of_near_objects_do_not_hide_each_other(axes, events):
    photons = events.photons.features.clone()
    photons[0, :, 1:3] = torch.tensor([[0.0, 2.1], [0.3, 1.9]])
    near = RecoEvents({"photons": Objects(photons, events.photons.mask, PHOTON_FEATURES), "jets": events.jets})
    assert not overlap(draw_transverse(axes, display(load_channel("thj"), near, 0))["labels"], axes)
    _, other = new_figure()
    assert not overlap(draw_eta_phi(other, display(load_channel("thj"), near, 0))["labels"], other)


def test_both_views_with_a_title(events):
    figure, panels = event_figure()
    artists = draw_event(panels, display(load_channel("thj"), events, 0), "event 17: low ess")
    assert len(artists["transverse"]["lines"]) == 2
    assert len(artists["eta_phi"]["cones"]) == 1
    assert [text.get_text() for text in artists["legend"].get_texts()] == ["photon", "jet"]
    assert figure.get_suptitle() == "event 17: low ess"


@pytest.mark.parametrize("row", [-1, 2])
def test_an_event_that_is_not_there_is_refused(events, row):
    with pytest.raises(InputError, match=f"no event {row} among 2"):
        display(load_channel("thj"), events, row)
