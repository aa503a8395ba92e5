"""Bounds of what a saved description may ask for, whatever its digest says.

Weights are as large as their file, and a network is only made once its shapes are theirs. These
bounds are for the rest, which a few digits could swell: names of players, maps of pixels.
"""

from __future__ import annotations

__all__ = [
    "MOST_BLOCKS",
    "MOST_CODES",
    "MOST_NUMBERS",
    "MOST_PLAYERS",
    "MOST_SHARES",
    "MOST_STATES",
    "MOST_TOKENS",
    "MOST_WIDTH",
    "PLAIN_PIXELS",
]

#: width of a network; numbers of hidden states
MOST_WIDTH = 2**16
MOST_STATES = 2**22
#: blocks of a network: it is seen, too, that the file has weights for them
MOST_BLOCKS = 2**16
#: players of images and texts: each has a name
MOST_PLAYERS = 2**20
#: tokens that texts are padded to
MOST_TOKENS = 2**20
#: numbers of an image, channels included, whose players need not lie in the file
PLAIN_PIXELS = 2**18
#: numbers of any image
MOST_NUMBERS = 2**31
#: players times cells of a network that reads images, whose shares are all kept
MOST_SHARES = 2**25
#: categories of a column, and their codes
MOST_CODES = 2**31
