"""Select the movie in images and masks that contain more, or do not name their axes."""

from dataclasses import dataclass

from trackastra_engine.errors import InputError, option

LETTERS = "tczyx"  # time, channel and space, in their usual order


@dataclass(frozen=True, slots=True)
class Part:
    """The part of the images, or of the masks, to read."""

    kind: str  # images or masks, for messages
    axes: str | None = None
    channel: str | None = None
    position: str | None = None
    level: int = 0
    axes_if_unnamed: str | None = None  # axes of the images, for their masks
    is_with_images: bool = False  # masks given with images may have no positions and one level
    pattern: str | None = None
    allow_incomplete: bool = False
    axes_name: str = "axes"  # of the option that names the axes, for messages
    channel_name: str = "channel"  # of the option that selects the channel

    @property
    def axes_option(self) -> str:
        """Return the name, in messages, of the option for the axes."""
        return option(self.axes_name)

    @property
    def channel_option(self) -> str:
        """Return the name, in messages, of the option for the channel."""
        return option(self.channel_name)

    def reject_level(self, name: str, n_levels: int) -> None:
        """Raise InputError if an image of a pyramid lacks the level."""
        if not 0 <= self.level < n_levels:
            raise InputError(
                f"{name} has no level {self.level}; its {n_levels} levels are counted from 0, the "
                "full resolution"
            )

    def reject_subdivision(self, name: str) -> None:
        """Raise InputError if a position, level or pattern is given for an input without them."""
        given = "position" if self.position is not None else "level" if self.level else None
        if given and not self.is_with_images:
            raise InputError(
                f"{name} has no {given}s; leave {option(given)} out, or give a plate, a pyramid or "
                "a file of several images"
            )
        if self.pattern is not None:
            raise InputError(
                f"{name} is no folder of files; leave {option('pattern')} out, which chooses files"
            )


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of the images and masks that is the movie.

    All options apply to the images, or to the masks if there are no images. Masks given with images
    use the position and level if they have several, and the axes, without channels, if they do not
    name their own.

    Parameters
    ----------
    axes, mask_axes : str, optional
        All axes in their order, such as "tcyx"; by default the axes in the files.
    channel, mask_channel : str or int, optional
        Name of a channel, or its number from 0.
    position : str, optional
        Of a plate, such as "A/1/0", or a number or name of an image in a file.
    level : int
        Of a pyramid; 0 is the full resolution.
    pattern, mask_pattern : str, optional
        Selects files of a folder: a glob, or a regular expression with a group `frame`.
    allow_incomplete : bool
        Whether frames may be missing at the end.

    Examples
    --------
    >>> two_channels = np.stack([images, 0 * images], axis=1)  # (t, c, y, x)
    >>> selection = Selection(axes="tcyx", channel=0)
    >>> len(tracker.track(two_channels, masks, selection=selection).edges)
    13
    """

    axes: str | None = None  # all in their order, such as tcyx
    channel: str | int | None = None  # number from 0, or name
    mask_axes: str | None = None
    mask_channel: str | int | None = None
    position: str | None = None  # A/1/0, or a number or a name
    level: int = 0  # the full resolution
    pattern: str | None = None
    mask_pattern: str | None = None
    allow_incomplete: bool = False

    def of_images(self) -> Part:
        """Return the part of the images to read; raises InputError if the axes are invalid."""
        channel = None if self.channel is None else str(self.channel)
        return Part(
            "images",
            _checked(self.axes),
            channel,
            self.position,
            self.level,
            pattern=self.pattern,
            allow_incomplete=self.allow_incomplete,
        )

    def of_masks(self, *, with_images: bool) -> Part:
        """Return the part of the masks to read, given with images or without; see `of_images`."""
        axes, axes_name = self.mask_axes, "mask_axes"
        channel, channel_name = self.mask_channel, "mask_channel"
        if axes is None and not with_images:
            axes, axes_name = self.axes, "axes"
        if channel is None and not with_images:
            channel, channel_name = self.channel, "channel"
        pattern = self.pattern if not with_images else None
        return Part(
            "masks",
            _checked(axes),
            None if channel is None else str(channel),
            self.position,
            self.level,
            _checked(self.axes),
            with_images,
            self.mask_pattern or pattern,
            self.allow_incomplete,
            axes_name,
            channel_name,
        )


EVERYTHING = Selection()


def _checked(axes: str | None) -> str | None:
    if axes is None:
        return None
    letters = axes.lower()
    if not set("yx") <= set(letters) <= set(LETTERS) or len(set(letters)) < len(letters):
        raise InputError(
            f"the axes are {axes!r}; give a letter for each, t, c, z, y or x, in their order, such "
            "as tyx, tzyx or tcyx"
        )
    return letters
