"""The channels: one folder each for what bmem has to be told of an application, from the process to the names people read.

``thj`` is pp → tHj, ``toy`` the linear-Gaussian example; a user's own is named ``"package.module:object"``. Nothing of a
channel is loaded before it is asked for, and its settings without the rest of it.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmem.errors import ChannelError
from bmem.wording import meant

if TYPE_CHECKING:
    from bmem.channels.contract import Channel

BUILT_IN = {
    "thj": ("bmem.channels.thj.settings:ThjSettings", "bmem.channels.thj.channel:ThjChannel"),
    "toy": ("bmem.channels.toy.settings:ToySettings", "bmem.channels.toy.channel:ToyChannel"),
}
"""Settings and class of each channel that bmem brings, where they are defined."""
DEFAULT = "thj"
"""The channel of a configuration, or of a command, that names none."""


def settings_of(name: str) -> type:
    """The class of the settings of a channel.

    Raises:
        ChannelError: there is no such channel, or it has no ``Settings``.
    """
    if name in BUILT_IN:
        kind: type = _find(BUILT_IN[name][0])
        return kind
    settings = getattr(_find(name), "Settings", None)
    if not isinstance(settings, type):
        raise ChannelError(
            f"channel {name!r}: has no class Settings; derive it from bmem.channels.base.BaseChannel, or give it one"
        )
    return settings


def load_channel(name: str, settings: Any = None) -> Channel:
    """The channel of a name, made of its ``settings`` (None: the defaults).

    Raises:
        ChannelError: there is no such channel, it cannot be made, or it lacks what a channel must offer.
    """
    kind = _find(BUILT_IN[name][1] if name in BUILT_IN else name)
    settings = settings_of(name)() if settings is None else settings
    if not callable(kind):
        raise ChannelError(f"channel {name!r}: is no class but {kind!r}; name the class of the channel")
    try:
        channel = kind(settings)
    except TypeError as error:
        raise ChannelError(f"channel {name!r}: cannot be made of its settings ({error})") from error
    from bmem.channels.contract import lacking

    missing = lacking(channel)
    if missing:
        raise ChannelError(
            f"channel {name!r}: lacks {', '.join(missing)}; see bmem.channels.contract.Channel, or derive it from "
            "bmem.channels.base.BaseChannel, which has what is the same for most"
        )
    return channel


def _find(name: str) -> Any:
    """The object ``package.module:object``; the working folder is searched too."""
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ChannelError(f"there is no channel {name!r}{meant(name, BUILT_IN)} (your own: 'package.module:object')")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise ChannelError(
            f"channel {name!r}: the module {module!r} cannot be imported ({error}); install it, or start bmem in its folder"
        ) from error
    if not hasattr(found, attribute):
        names = [n for n in vars(found) if not n.startswith("_")]
        raise ChannelError(f"channel {name!r}: the module {module!r} has no {attribute!r}{meant(attribute, names)}")
    return getattr(found, attribute)
