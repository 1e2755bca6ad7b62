"""Ready studies: read, carried out, judged, written down."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnatomy.data.data_catalog import one_of
from cnnatomy.files.printable import duration
from cnnatomy.studies.ready.claims import Claim, Finding, judge
from cnnatomy.studies.ready.shifted_answers import Shifted, shifted_answers
from cnnatomy.studies.study import Study, design_of
from cnnatomy.studies.study_folder import Design
from cnnatomy.train.atomic_files import write_json

if TYPE_CHECKING:
    from cnnatomy.studies.study_results import ArmResult

NAMES = tuple(
    sorted(
        one.name.removesuffix(".toml")
        for one in resources.files(__package__).iterdir()
        if one.name.endswith(".toml")
    )
)
"""Every ready study."""
FORMS = ("quick", "full")


@dataclass(frozen=True)
class Ready:
    """A ready study.

    Example:
        >>> load("kernels").title, [claim.above for claim in load("kernels").claims]
        ('One 7x7 or three 3x3', ['three 3x3'])
    """

    name: str
    title: str
    text: str
    settings: Mapping[str, Any]
    forms: Mapping[str, Mapping[str, Any]]
    arms: Mapping[str, Mapping[str, Any]]
    claims: tuple[Claim, ...]
    shift: Mapping[str, Any] | None = None

    def design(self, form: str, **changes: Any) -> Design:
        """What is compared, in the "quick" or the "full" form, with some settings (or seeds) changed.

        Raises:
            ArgumentError: there is no such form or setting.
        """
        options = {**self.settings, **self.forms[one_of("form", form, FORMS)], **changes}
        seeds, data = options.pop("seeds"), options.pop("data")
        return design_of(data, self.arms, seeds, options)

    def judged(self, study: Study) -> Verdicts:
        """Judge every claim by a study that has been carried out; shifted pictures are answered now."""
        shifted = {
            result.arm.name: shifted_answers(study, result, self.shift["amounts"], self.shift["pictures"])
            for result in study.results
            if self.shift
        }
        found = {result.arm.name: result for result in study.results}
        findings = [
            judge(claim, *_scores(claim, found, shifted))
            for claim in self.claims
            if claim.above in found and claim.below in found
        ]
        return Verdicts(self, study, tuple(findings), shifted)


@dataclass(frozen=True)
class Verdicts:
    """What a study says of its claims."""

    ready: Ready
    study: Study
    findings: tuple[Finding, ...]
    shifted: Mapping[str, Shifted]
    """What each arm answers to shifted pictures, where that is asked."""

    def write(self, form: str, command: str) -> None:
        """Write claims.json into the study's folder: the figures, and the command that made them."""
        base = self.study.design.base
        write_json(
            self.study.path / "claims.json",
            {
                "study": self.ready.name,
                "form": form,
                "command": command,
                "data": {"source": base.data.source, "limit": base.data.limit},
                "test_pictures": len(self.study.results[0].records[0].given.labels),
                "seeds": list(self.study.design.seeds),
                "epochs": base.recipe.epochs,
                "training": duration(sum(r.seconds for a in self.study.results for r in a.records)),
                "arms": self.study.table(),
                "shifted": {name: one.to_json() for name, one in self.shifted.items()},
                "claims": [
                    {
                        "says": one.claim.says,
                        "source": one.claim.source,
                        "verdict": one.verdict,
                        "line": one.line,
                        "margin": one.claim.margin,
                        "difference": one.found.mean,
                        "alike": list(one.found.alike[:2]),
                    }
                    for one in self.findings
                ],
            },
        )


def load(name: str) -> Ready:
    """Read a ready study.

    Raises:
        ArgumentError: there is none of this name.
    """
    file = resources.files(__package__) / f"{one_of('study', name, NAMES)}.toml"
    told = tomllib.loads(file.read_text("utf-8"))
    return Ready(
        name,
        told["title"],
        told["text"],
        told["settings"],
        {form: told[form] for form in FORMS},
        told["arms"],
        tuple(Claim(**one) for one in told["claims"]),
        told.get("shift"),
    )


def _scores(
    claim: Claim, found: Mapping[str, ArmResult], shifted: Mapping[str, Shifted]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What both arms scored, over the seeds that both have."""
    both = {r.seed for r in found[claim.above].records} & {r.seed for r in found[claim.below].records}
    seeds = sorted(both)

    def rows(name: str) -> NDArray[np.float64]:
        if claim.shift is not None:
            return np.stack([shifted[name].scores[seed, claim.shift] for seed in seeds])
        records = {record.seed: record for record in found[name].records}
        return np.stack([records[seed].scores("accuracy") for seed in seeds])

    return rows(claim.above), rows(claim.below)
