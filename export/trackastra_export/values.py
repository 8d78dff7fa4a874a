"""Arithmetic with values of a graph, so that one formula works on tensors and on graphs."""

from dataclasses import dataclass

from trackastra_export.builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class Value:
    """A float32 value of a graph; operators append nodes."""

    graph: GraphBuilder
    name: str

    def __add__(self, other: "Value | float") -> "Value":
        return self._with("Add", other)

    def __sub__(self, other: "Value | float") -> "Value":
        return self._with("Sub", other)

    def __mul__(self, other: "Value | float") -> "Value":
        return self._with("Mul", other)

    def __truediv__(self, other: "Value | float") -> "Value":
        return self._with("Div", other)

    def __neg__(self) -> "Value":
        return self._of("Neg")

    def exp(self) -> "Value":
        """Append the exponential."""
        return self._of("Exp")

    def log(self) -> "Value":
        """Append the natural logarithm."""
        return self._of("Log")

    def sqrt(self) -> "Value":
        """Append the square root."""
        return self._of("Sqrt")

    def _with(self, kind: str, other: "Value | float") -> "Value":
        name = other.name if isinstance(other, Value) else self.graph.constant(other)
        return Value(self.graph, self.graph.op(kind, self.name, name))

    def _of(self, kind: str) -> "Value":
        return Value(self.graph, self.graph.op(kind, self.name))
