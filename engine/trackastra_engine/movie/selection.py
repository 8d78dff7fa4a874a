"""Which part of the images and masks is the movie, where they hold more or do not say it."""

from dataclasses import dataclass

from trackastra_engine.errors import InputError

LETTERS = "tczyx"  # time, channel and space, in the order in which they are told and guessed


@dataclass(frozen=True, slots=True)
class Part:
    """What to take of images, or of masks."""

    kind: str  # images or masks, for messages
    axes: str | None = None
    channel: str | None = None
    position: str | None = None
    level: int = 0
    axes_if_unnamed: str | None = None  # those of the images, for masks beside them
    is_beside: bool = False  # of masks beside images, which may have no positions and one level
    axes_option: str = "--axes"  # that names the axes, for messages
    channel_option: str = "--channel"  # that chooses the channel

    def refuse_subdivision(self, name: str) -> None:
        """Raise InputError if a position or level of what has none is asked for."""
        option = "--position" if self.position is not None else "--level" if self.level else None
        if option and not self.is_beside:
            raise InputError(
                f"{name} has no {option[2:]}s; leave {option} out, or give a plate, a pyramid or "
                "a file of several images"
            )


@dataclass(frozen=True, slots=True)
class Selection:
    """What a user says of the images and masks of a movie.

    Axes, from what files say if not given; a channel, where there are several; a position of a
    plate, or of a file of several images; a level of a pyramid. All are those of the images, or
    without images of the masks. Masks beside images take the position if they have several, the
    level if they have several, and the axes, but for channels, if they do not name theirs.
    """

    axes: str | None = None  # all in their order, such as tcyx
    channel: str | int | None = None  # number from 0, or name
    mask_axes: str | None = None
    mask_channel: str | int | None = None
    position: str | None = None  # A/1/0, or a number or a name
    level: int = 0  # the full resolution

    def of_images(self) -> Part:
        """Return what to take of the images; raises InputError if the axes are none."""
        channel = None if self.channel is None else str(self.channel)
        return Part("images", _checked(self.axes), channel, self.position, self.level)

    def of_masks(self, *, beside_images: bool) -> Part:
        """Return what to take of the masks, with which images come or not; see `of_images`."""
        axes, axes_option = self.mask_axes, "--mask-axes"
        channel, channel_option = self.mask_channel, "--mask-channel"
        if axes is None and not beside_images:
            axes, axes_option = self.axes, "--axes"
        if channel is None and not beside_images:
            channel, channel_option = self.channel, "--channel"
        return Part(
            "masks",
            _checked(axes),
            None if channel is None else str(channel),
            self.position,
            self.level,
            _checked(self.axes),
            beside_images,
            axes_option,
            channel_option,
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
