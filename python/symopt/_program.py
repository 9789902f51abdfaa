"""Programs, and what is known of them."""

import html
import json
import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from symopt import _symopt
from symopt._errors import InputError

Label = Literal["exact", "real", "domain"]


class Slot(NamedTuple):
    """A state slot of a program: as many numbers as there are parameters.

    Attributes:
        name: its name.
        live: whether an update needs it. Dead slots are not kept.
    """

    name: str
    live: bool


class Cost(NamedTuple):
    """What a step takes.

    Attributes:
        calls: calls of functions.
        array_passes: passes over the arrays.
        bytes_per_parameter: bytes moved for each parameter, with all in f32.
        state_bytes_per_parameter: bytes of state for each parameter in f32.
        state_bytes_per_parameter_bf16: the same in bf16.
    """

    calls: int
    array_passes: int
    bytes_per_parameter: int
    state_bytes_per_parameter: int
    state_bytes_per_parameter_bf16: int


class Diagnostic(NamedTuple):
    """A remark about a valid program: what does nothing in it.

    Attributes:
        code: `redundant`: nothing that the step returns needs the statement; `dead`: it only
            feeds slots that no later update needs; `dead-slot`: a slot that none needs.
        text: the statement or the slot.
        statement: the place of the statement, from 0.
    """

    code: Literal["redundant", "dead", "dead-slot"]
    text: str
    statement: int | None


class Program:
    """A program: a function from weights, gradients and slots to an update.

    Args:
        source: the name of a program of the zoo, a file, `STORE:HASH` (a program of a search's
            store, also `STORE:best`), or the text of a program, which is known by its line breaks
            or by its `def`. A path (`pathlib.Path`) is always a file.

    Raises:
        ProgramError: the text is no program; it says where and why.
        InputError: there is no program of that name.
    """

    __slots__ = ("_core",)
    _core: _symopt.Program

    def __init__(self, source: "str | os.PathLike[str] | Program") -> None:
        if isinstance(source, Program):
            self._core = source._core
        elif isinstance(source, str):
            if "\n" in source or source.lstrip().startswith(("def ", "@")):
                self._core = _symopt.Program.of_text(source)
            elif source == "-":
                raise InputError("`-` is for the command line; give the text of the program itself")
            else:
                self._core = _symopt.Program.named(source)
        elif isinstance(source, os.PathLike):
            self._core = _symopt.Program.of_file(os.fspath(source))
        else:
            raise TypeError(f"a program is a text, a name or a path, not {type(source).__name__}")

    @classmethod
    def _of_core(cls, core: _symopt.Program) -> "Program":
        program = cls.__new__(cls)
        program._core = core
        return program

    @property
    def name(self) -> str:
        """Its name in the zoo if it was found by it, or the name of its function."""
        return self._core.name

    @property
    def doc(self) -> str | None:
        """Its doc string."""
        return self._core.doc

    @property
    def source(self) -> str:
        """Its text, in the form that symopt prints."""
        return self._core.source

    @property
    def hash(self) -> str:
        """The functional hash: equal for programs that compute the same up to names, order, dead
        code and exact identities."""
        return self._core.hash

    @property
    def numerics(self) -> str:
        """`ieee`, or `guarded` for roots and quotients as the published search computes them."""
        return self._core.numerics

    @property
    def profiles(self) -> list[str]:
        """The parts of the language that it needs beside the core."""
        return self._core.profiles

    @property
    def slots(self) -> list[Slot]:
        """The state slots, in the order of the signature."""
        return [Slot(*slot) for slot in self._core.slots]

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The hyperparameters with their defaults."""
        return dict(self._core.hyperparameters)

    @property
    def learning_rate(self) -> float:
        """The conventional peak learning rate: the default of `lr`; 1 for a program that holds its
        own."""
        return self._core.peak_learning_rate

    @property
    def cost(self) -> Cost:
        """What a step takes."""
        return Cost(*self._core.cost)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """What does nothing in it: redundant statements and dead slots."""
        found = [
            Diagnostic(status, text, index)
            for index, (text, _, status) in enumerate(self._core.statements)
            if status != "live"
        ]
        dead = [Diagnostic("dead-slot", slot.name, None) for slot in self.slots if not slot.live]
        return [*found, *dead]

    def pruned(self) -> "Program":
        """Returns the program without redundant statements and dead slots."""
        return Program._of_core(self._core.pruned())

    def formula(self) -> str:
        """The program as mathematics, in Unicode."""
        return self._core.formula()

    def latex(self) -> str:
        """The same as an `align*` block for LaTeX with amsmath."""
        return self._core.latex()

    def svg(self) -> str:
        """The data flow as a picture."""
        return self._core.svg()

    def export(self, target: str, *, plain: bool = False) -> str:
        """Writes the program as source text for a framework or a language.

        Args:
            target: `pytorch`, `optax`, `praxis`, `keras`, `tf2`, `tf1`, `numpy`, `rust`, `c`,
                `latex` or `json`.
            plain: one way to compute a step, tensor by tensor, in a short file to read (pytorch).

        Raises:
            InputError: there is no such target, or it can't have this program.
        """
        return self._core.export(target, plain=plain)

    def simplify(
        self,
        *,
        label: Label = "domain",
        ablate: bool = False,
        suite: "str | os.PathLike[str]" = "quick",
        seeds: int = 32,
        tolerance: float = 0.02,
        confidence: float = 0.95,
        nodes: int | None = None,
        rounds: int | None = None,
    ) -> "Derivation":
        """Simplifies the program, step by step, each checked.

        Args:
            label: take only steps that are at least as strong as this: equal bit for bit
                (`exact`), over the real numbers (`real`), or where stated conditions hold
                (`domain`).
            ablate: also leave out what makes no difference on the tasks of a suite, which trains
                with the program some hundred times.
            suite: with `ablate`: the suite, a name or a TOML file.
            seeds: with `ablate`: how many seeds to train with.
            tolerance: with `ablate`: how much fitness may be lost, 0.02 for two percentage points.
            confidence: with `ablate`: how sure that has to be.
            nodes: terms that a search for identities holds at most.
            rounds: rounds of all rules in a search for identities at most.

        Raises:
            InputError: a label, a suite or a number that there is not; or AdamW can't be trained on
                the suite.
            KeyboardInterrupt: Ctrl-C, which ends it within a tenth of a second.
        """
        usual_nodes, usual_rounds = _symopt.simplification_limits()
        nodes = usual_nodes if nodes is None else nodes
        rounds = usual_rounds if rounds is None else rounds
        if ablate:
            found = self._core.simplify_on_tasks(
                label, nodes, rounds, os.fspath(suite), seeds, tolerance, confidence
            )
        else:
            found = self._core.simplify(label, nodes, rounds)
        core, markdown, text = found
        return Derivation(self, Program._of_core(core), markdown, json.loads(text))

    def diff(self, other: "str | os.PathLike[str] | Program") -> "Comparison":
        """Compares what two programs compute, after simplification.

        Args:
            other: a program, or what `Program` takes.

        Raises:
            InputError: there is no such program.
        """
        return Comparison(json.loads(self._core.diff(Program(other)._core)))

    def identify(self, count: int = 5) -> "Identification":
        """Names the nearest programs of the zoo, with what differs.

        Args:
            count: how many programs.
        """
        return Identification(json.loads(self._core.identify(count)))

    def __str__(self) -> str:
        return self.source

    def __repr__(self) -> str:
        return f"<symopt.Program {self.name} {self.hash[:12]}>"

    def __eq__(self, other: object) -> bool:
        """Whether the texts are equal; programs that compute the same have equal hashes."""
        return self.source == other.source if isinstance(other, Program) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.source)

    def __reduce__(self) -> tuple[Any, ...]:
        # By the text: the same program wherever the pickle is read.
        return _unpickled, (self.source, self.name)

    def __copy__(self) -> "Program":
        return self

    def __deepcopy__(self, memo: object) -> "Program":
        return self

    def _repr_latex_(self) -> str:
        return self.latex()

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        cost = self.cost
        passes = "1 pass" if cost.array_passes == 1 else f"{cost.array_passes} passes"
        facts = (
            f"{self.hash}, {cost.calls} calls in {passes} over the arrays, "
            f"{cost.state_bytes_per_parameter} bytes of state per parameter"
        )
        return (
            f"<div><b>{html.escape(self.name)}</b> <small>{html.escape(facts)}</small>"
            f"<pre>{html.escape(self.source)}</pre>"
            f"<pre>{html.escape(self.formula())}</pre>"
            f"<details><summary>data flow</summary>{self.svg()}</details></div>"
        )


def _unpickled(source: str, name: str) -> Program:
    program = Program._of_core(_symopt.Program.of_text(source))
    if program.name != name:
        known = Program._of_core(_symopt.Program.named(name))
        if known.source == source:
            return known
    return program


class Derivation:
    """A simplification, step by step: what `Program.simplify` returns.

    Attributes:
        original: the program that was simplified.
        result: what is left.
        markdown: the steps with their reasons and checks, to be read.
        label: in which sense the result equals the original, by the weakest step: `exact`, `real`,
            `domain`, or `empirical` where something was left out by training.
        steps: the steps as data: their kind, label, programs before and after, reasons, support.
        rejected: steps that broke their own label in the check: bugs of symopt, to be reported.
    """

    def __init__(
        self, original: Program, result: Program, markdown: str, data: Mapping[str, Any]
    ) -> None:
        self.original = original
        self.result = result
        self.markdown = markdown
        self.label: str = data["label"]
        self.steps: list[dict[str, Any]] = data["derivation"]["steps"]
        self.rejected: list[dict[str, Any]] = data["derivation"]["rejected"]

    def __repr__(self) -> str:
        before, after = (len(p._core.statements) for p in (self.original, self.result))
        return f"<symopt.Derivation of {self.original.name}: {before} to {after} statements, {self.label}>"

    def __str__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


class Comparison:
    """How two programs compare, in their simplified forms: what `Program.diff` returns.

    Attributes:
        data: all that is known, as `symopt diff --json` has it.
        relation: `equal`, equal up to something, or `different`.
        distance: how far apart the data flows are, from 0 to 1.
        summary: a sentence.
        differences: what differs; empty if nothing does.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.relation: str = data["relation"]
        self.distance: float = data["distance"]
        self.summary: str = data["summary"]
        self.differences: str = data["differences"]

    def __repr__(self) -> str:
        return f"<symopt.Comparison: {self.relation}, distance {self.distance:.3f}>"

    def __str__(self) -> str:
        return self.summary


class Match(NamedTuple):
    """A program of the zoo beside another program.

    Attributes:
        name: its name in the zoo.
        relation: `equal`, equal up to something, or `different`.
        distance: how far apart the data flows are, from 0 to 1.
        differences: what differs; empty if nothing does.
    """

    name: str
    relation: str
    distance: float
    differences: str


class Identification:
    """The structure of a program, and the nearest programs of the zoo: what `Program.identify` returns.

    Attributes:
        data: all that is known, as `symopt identify --json` has it.
        structure: AdamW-like, Signum-like, Lion-like, Muon-like or other, by what it does and by
            form.
        nearest: the nearest programs of the zoo, as `Match`, the nearest first.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.structure: str = data["summary"]
        self.nearest = [Match(**match) for match in data["nearest"]]

    def __repr__(self) -> str:
        nearest = self.nearest[0].name if self.nearest else "nothing"
        return f"<symopt.Identification: {self.structure}; nearest {nearest}>"

    def __str__(self) -> str:
        rows = [f"structure: {self.structure}", ""]
        width = max([len(match.name) for match in self.nearest], default=0)
        rows += [
            f"{m.name:<{width}}  {m.relation}, {m.distance:.3f}  {m.differences}".rstrip()
            for m in self.nearest
        ]
        return "\n".join(rows)
