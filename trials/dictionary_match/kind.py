"""The kind `dictionary_match`: do two dictionaries hold the same atoms?

Dictionaries of one matrix look alike even without shared features, because both follow its
spectrum. So each statistic is compared with that of dictionaries without features: random unit
directions with the same second moments.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from trials.api import Chart, Config, Metric, TrialKind
from trials.inputs.dictionaries import check_reference, dictionary_digest


class DictionaryMatchConfig(Config):
    """Two dictionaries, by reference."""

    first: str = Field(
        description="a dictionary: run:RUN_ID, run:RUN_ID/ARTIFACT#TENSOR, file:PATH.npy or "
        "file:PATH.safetensors#TENSOR"
    )
    second: str = Field(description="the dictionary to compare it with, named in the same way")
    nonnegative: bool = Field(
        default=False,
        description="treat an atom and its negative as two features: cos instead of |cos|",
    )
    shared_cosine: float = Field(
        default=0.7, gt=0, lt=1, description="a matched pair of atoms above this |cos| is shared"
    )
    n_nulls: int = Field(
        default=20, ge=2, le=1000, description="pairs of null dictionaries to draw"
    )

    @field_validator("first", "second")
    @classmethod
    def _names_a_dictionary(cls, text: str) -> str:
        return check_reference(text)


MATCH_PERCENT = (70, 90, 99)


_STATISTICS = (
    (
        "mmcs_first",
        "",
        "mean over the atoms of the first dictionary of the largest |cos| with an atom of the "
        "second",
    ),
    ("mmcs_second", "", "as mmcs_first, with first and second exchanged"),
    ("mmcs", "", "mean of mmcs_first and mmcs_second"),
    (
        "matched_cosine",
        "",
        "mean |cos| of the pairs of the one-to-one matching with the largest sum of |cos|; as many "
        "pairs as the smaller dictionary has atoms",
    ),
    (
        "shared_frac",
        "frac",
        "2 x matched pairs with |cos| above shared_cosine / atoms of both dictionaries",
    ),
    *(
        (f"matched_frac_{p}", "frac", f"matched pairs with |cos| above {p / 100:.2f} / pairs")
        for p in MATCH_PERCENT
    ),
)


_TITLES = {
    "mmcs": "mean largest cosine (MMCS)",
    "matched_cosine": "mean cosine of matched atoms",
    "shared_frac": "share of atoms in both",
}


def _declared(name: str, unit: str, definition: str) -> tuple[Metric, ...]:
    title = _TITLES.get(name, "")
    signs = "; with nonnegative, cos instead of |cos|"
    return (
        Metric(name, unit, "maximise", definition + signs, title=title),
        Metric(
            f"{name}_null",
            unit,
            "none",
            f"mean of {name} over n_nulls pairs of null dictionaries: Gaussian draws, scaled to "
            "unit length, with the second moments of the two (with nonnegative, the means too)",
            title=f"{title}, null" if title else "",
        ),
        Metric(f"{name}_null_sd", unit, "none", f"standard deviation of {name} over these pairs"),
        Metric(
            f"{name}_corrected",
            "",
            "maximise",
            f"({name} - {name}_null) / (1 - {name}_null): 0: as similar as directions "
            "without features, 1: the same atoms",
            title=f"{title}, corrected for chance" if title else "",
        ),
        Metric(
            f"{name}_p_value",
            "",
            "minimise",
            f"(1 + pairs of nulls with {name} as large or larger) / (1 + n_nulls)",
        ),
    )


KIND = TrialKind(
    name="dictionary_match",
    version=1,
    summary="Atoms that two dictionaries share, vs. dictionaries without features.",
    config=DictionaryMatchConfig,
    metrics=(
        *(metric for statistic in _STATISTICS for metric in _declared(*statistic)),
        *(
            Metric(
                f"n_atoms_{which}",
                "atoms",
                "none",
                f"rows of the {which} dictionary",
                title=f"atoms of the {which} dictionary",
            )
            for which in ("first", "second")
        ),
    ),
    objective="mmcs_corrected",
    run="trials.dictionary_match.run:run",
    input_digests=lambda config: {
        "first": dictionary_digest(config.first),
        "second": dictionary_digest(config.second),
    },
    charts=(
        Chart(
            title="Agreement beyond chance",
            x="n_atoms_second",
            y="mmcs_corrected",
            colour="first",
            log_x=True,
            caption="0: as similar as random directions with the same spectrum; 1: the same atoms.",
        ),
        Chart(
            title="Agreement, real vs. null",
            x="mmcs_null",
            y="mmcs",
            colour="first",
            caption="Mean largest |cos|: real against dictionaries without features.",
        ),
    ),
)
