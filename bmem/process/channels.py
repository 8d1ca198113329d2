"""Which partons make a single top, a Higgs and a light quark, and which spinor each of them is."""

from __future__ import annotations

from dataclasses import dataclass

HIGGS = 25
TOP = 6
NAMES = {1: "d", 2: "u", 3: "s", 4: "c", 5: "b", 6: "t"}

BRA, KET, B = "bra", "ket", "b"
Roles = tuple[str, str, str]


@dataclass(frozen=True)
class PartonicChannel:
    """A partonic channel ``first second > jet top h``.

    ``roles`` say which quark spinor (BRA, KET of the light current, or B) the first, the second and the jet are,
    as for the process with a top: the charge conjugate of a channel has equal |M|², term by term in α.
    """

    first: int
    second: int
    jet: int
    top: int
    roles: Roles

    @property
    def name(self) -> str:
        """Such as ``u b > d t h``."""
        first, second, jet, top = (parton_name(code) for code in (self.first, self.second, self.jet, self.top))
        return f"{first} {second} > {top} {jet} h" if self.s_channel else f"{first} {second} > {jet} {top} h"

    @property
    def s_channel(self) -> bool:
        """Whether the jet is the b and the W carries the energy of the collision."""
        return self.roles[2] == B

    @property
    def pdg(self) -> tuple[int, int, int, int, int]:
        """Particle codes in the order of MadGraph: t channel (…, jet, top, H), s channel (…, top, b, H)."""
        outgoing = (self.top, self.jet) if self.s_channel else (self.jet, self.top)
        return (self.first, self.second, *outgoing, HIGGS)


def parton_name(code: int) -> str:
    """MadGraph's name of a quark."""
    return NAMES[abs(code)] + ("~" if code < 0 else "")


def _t_channel(light: int, top: int) -> PartonicChannel:
    """W exchange between ``light`` and a b (or b~, for an antitop)."""
    partner = abs(light) + (1 if abs(light) % 2 else -1)
    sign = 1 if light > 0 else -1
    as_quark = (light > 0) == (top > 0)
    roles = (KET, B, BRA) if as_quark else (BRA, B, KET)
    return PartonicChannel(light, 5 * (1 if top > 0 else -1), sign * partner, top, roles)


def _s_channel(up: int, down: int, top: int) -> PartonicChannel:
    return PartonicChannel(up, down, -5 if top > 0 else 5, top, (KET, BRA, B))


T_CHANNEL = (*(_t_channel(light, TOP) for light in (2, 4, -1, -3)), *(_t_channel(light, -TOP) for light in (1, 3, -2, -4)))
S_CHANNEL = tuple(_s_channel(sign * up, -sign * (up - 1), sign * TOP) for sign in (1, -1) for up in (2, 4))
