"""A napari widget to decide uncertain links; the tracks layer shows the new tracks."""

from pathlib import Path
from typing import Any

from trackastra_engine.errors import InputError
from trackastra_engine.linking import MODES
from trackastra_engine.linking.options import LinkingOptions
from trackastra_engine.napari.decisions import Decisions, called, choices, place_of
from trackastra_engine.napari.reader import layer_of_tracks
from trackastra_engine.output.formats import CORRECTIONS

LAYER = "decided tracks"


class DecideWidget:
    """A folder to open, the open question, its possible parents, and buttons."""

    def __init__(self, viewer: Any) -> None:
        from magicgui.widgets import ComboBox, Container, FileEdit, Label, PushButton

        self._viewer = viewer
        self._decisions: Decisions | None = None
        self._number = 0  # index of the shown question
        self.folder = FileEdit(label="results", mode="d")
        self.mode = ComboBox(label="linker", choices=list(MODES))
        self.question = Label(value="Open a results folder of track.")
        self.parent = ComboBox(label="parent", choices=[])
        buttons = {
            "open": self.open,
            "next": self.next,
            "accept": self.accept,
            "reject": self.reject,
            "choose": self.choose,
            "undo": self.undo,
            "save": self.save,
        }
        self.buttons = {name: PushButton(text=name.capitalize()) for name in buttons}
        for name, act in buttons.items():
            self.buttons[name].changed.connect(lambda _=None, act=act: self._try(act))
        first = [self.folder, self.mode, self.buttons["open"], self.question, self.parent]
        rest = [button for name, button in self.buttons.items() if name != "open"]
        self.container = Container(widgets=[*first, *rest])

    def open(self) -> None:
        """Open the folder and show its tracks and its first question."""
        linking = LinkingOptions(mode=self.mode.value)
        self._decisions = Decisions(Path(self.folder.value), linking)
        self._number = 0
        self._show()

    def next(self) -> None:
        """Go to the next question."""
        if self._decisions is not None:
            self._number = (self._number + 1) % max(1, len(self._decisions.questions))
            self._show()

    def accept(self) -> None:
        """Decide that the link is right."""
        self._decide(lambda question: (question.source, True))

    def reject(self) -> None:
        """Decide that the link is wrong; for an object without a parent, choose one instead."""
        self._decide(lambda question: (question.source, False))

    def choose(self) -> None:
        """Decide that the parent is the chosen one."""
        self._decide(lambda question: (choices(question)[self.parent.value], True))

    def undo(self) -> None:
        """Undo the last decision."""
        if self._decisions is not None:
            self._decisions.undo()
            self._show()

    def save(self) -> None:
        """Write the corrections into the folder, where `link` finds them."""
        if self._decisions is not None:
            path = Path(self.folder.value) / CORRECTIONS
            self._decisions.save(path)
            self.question.value = f"Saved {path}"

    def _decide(self, answer: Any) -> None:
        if self._decisions is None or not self._decisions.questions:
            return
        question = self._decisions.questions[self._number]
        source, is_link = answer(question)
        if source is None and not is_link:
            raise InputError("the object has no parent to reject; choose its parent")
        self._decisions.decide(source, question.target, is_link=is_link)
        self._number = min(self._number, max(0, len(self._decisions.questions) - 1))
        self._show()

    def _show(self) -> None:
        """Show the tracks, and the question with its position in the middle."""
        assert self._decisions is not None, "there is nothing to show before a folder is open"
        data, options, _ = layer_of_tracks(self._decisions.lineage, LAYER)
        if LAYER in self._viewer.layers:
            self._viewer.layers.remove(LAYER)
        self._viewer.add_tracks(data, **options)
        if not self._decisions.questions:
            self.question.value = "No link is uncertain."
            return
        question = self._decisions.questions[self._number]
        self.parent.choices = list(choices(question))
        self.question.value = (
            f"{called(question.target)} from {called(question.source)}? "
            f"{self._decisions.n_made} decided, {len(self._decisions.questions)} open"
        )
        place = place_of(self._decisions.lineage, question.target)
        self._viewer.dims.set_point(0, place[0])
        self._viewer.camera.center = place[-2:]

    def _try(self, act: Any) -> None:
        try:
            act()
        except (InputError, OSError) as error:
            self.question.value = str(error)


def decide_widget(napari_viewer: Any) -> Any:
    """Return the widget for napari."""
    widget = DecideWidget(napari_viewer)
    widget.container.decide = widget  # keeps a reference to it
    return widget.container
