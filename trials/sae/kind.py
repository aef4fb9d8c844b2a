"""The kind `sae`: a sparse autoencoder, compared with a solver on the same tokens.

There are three errors at one sparsity: that of the autoencoder, that of exact codes on its decoder,
and that of a dictionary learned by full pursuit. The first two differ by the cost of the encoder,
the last two by the cost of the dictionary. Tokens are drawn for training in proportion to
`p_i^frequency_exponent`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from trials.api import Chart, Comparison, TrialKind
from trials.inputs.row_control import null_control
from trials.inputs.rows import rows_digests
from trials.pursuit.kind import DictionaryConfig
from trials.sae.metrics import METRICS

_OWN_FIELDS = {
    "topk": ("k",),
    "batch_topk": ("k",),
    "relu": ("l1_coefficient",),
    "jumprelu": ("l0_coefficient", "bandwidth"),
}
"""The fields that each architecture needs. No other architecture accepts them."""


class SaeConfig(DictionaryConfig):
    """One sparse autoencoder on the rows of one matrix."""

    architecture: Literal["topk", "batch_topk", "relu", "jumprelu"] = Field(
        description="activation that makes the codes sparse"
    )
    k: int | None = Field(
        default=None, ge=1, description="topk: atoms per token; batch_topk: mean atoms per token"
    )
    l1_coefficient: float | None = Field(
        default=None, gt=0, description="relu: penalty on |code|_1, for rows of variance 1"
    )
    l0_coefficient: float | None = Field(
        default=None,
        gt=0,
        description="jumprelu: penalty on each active atom, as a fraction of the variance",
    )
    bandwidth: float | None = Field(
        default=None,
        gt=0,
        description="jumprelu: width of the kernel that thresholds learn by, for rows of "
        "variance 1 (such as 0.05)",
    )
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="largest step of Adam")
    n_steps: int = Field(default=3000, ge=1, description="training steps")
    batch_size: int = Field(default=512, ge=1, description="tokens drawn per step")
    warm_up_frac: float = Field(
        default=0.05, ge=0, le=1, description="share of the steps with rising learning rate"
    )
    decay_frac: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="share of the steps in which the learning rate falls to 0",
    )
    nonnegative: bool = Field(
        default=True,
        description="exact codes and full pursuit use no negative coefficients, like the "
        "autoencoder",
    )
    tolerance: float = Field(
        default=1e-5,
        gt=0,
        le=1e-2,
        description="largest relative duality gap of an exact code at which the trial is certified",
    )
    max_passes: int = Field(
        default=30,
        ge=1,
        le=10_000,
        description="maximum number of passes of full pursuit over the tokens",
    )

    @model_validator(mode="after")
    def _fields_of_the_architecture(self) -> SaeConfig:
        own = _OWN_FIELDS[self.architecture]
        for name in sorted({field for fields in _OWN_FIELDS.values() for field in fields}):
            given = getattr(self, name)
            if given is None and name in own:
                raise ValueError(f"architecture {self.architecture} needs {name}")
            if given is not None and name not in own:
                users = " and ".join(a for a, fields in _OWN_FIELDS.items() if name in fields)
                raise ValueError(
                    f"{name} is {given}, and architecture {self.architecture} has none; it "
                    f"belongs to {users}"
                )
        return self

    @model_validator(mode="after")
    def _parts_of_the_schedule(self) -> SaeConfig:
        if self.warm_up_frac + self.decay_frac > 1:
            raise ValueError(
                f"warm_up_frac {self.warm_up_frac} and decay_frac {self.decay_frac} must be at "
                "most 1 together"
            )
        return self

    @model_validator(mode="after")
    def _something_to_learn(self) -> SaeConfig:
        if self.null == "random_dictionary":
            raise ValueError(
                "null random_dictionary is for kinds that learn by pursuit; an autoencoder has no "
                "form with random atoms"
            )
        return self


KIND = TrialKind(
    name="sae",
    version=8,
    summary="A sparse autoencoder vs. exact codes on its decoder and vs. full pursuit.",
    config=SaeConfig,
    metrics=METRICS,
    # Bits weigh error against sparsity, so that neither more atoms per token nor more atoms win by
    # themselves. It is also the objective of pursuit.
    objective="excess_bits_sae_validation",
    run="trials.sae.run:run",
    autoencoder="trials.sae.export:exported",
    input_digests=rows_digests,
    control=null_control(
        Comparison("fvu_sae_held_out", at="l0_sae_held_out"),
        Comparison(
            "fvu_omp_held_out",
            at="l0_omp_held_out",
            also=(
                ("fvu_debiased_exact_held_out", "l0_exact_held_out"),
                ("fvu_exact_held_out", "l0_exact_held_out"),
            ),
        ),
        Comparison("fvu_debiased_pursuit_held_out", at="l0_pursuit_held_out"),
        Comparison(
            "bits_per_token_sae_held_out",
            at="fvu_rounded_sae_held_out",
            shown="difference",
        ),
        within=("architecture", "n_atoms", "nonnegative"),
    ),
    reports=("fvu_sae_validation", "l0_sae_validation"),
    charts=(
        Chart(
            title="The autoencoder's error against sparsity",
            x="l0_sae_held_out",
            y="fvu_sae_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Held-out tokens, one point per trial; dashed: the same learner on a null.",
        ),
        Chart(
            title="Error of exact codes on the autoencoder's decoder",
            x="l0_exact_held_out",
            y="fvu_debiased_exact_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Certified LASSO codes with as many atoms per token, least squares on the "
            "supports.",
        ),
        Chart(
            title="Error of full pursuit",
            x="l0_pursuit_held_out",
            y="fvu_debiased_pursuit_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="A dictionary of as many atoms, learned and coded at the autoencoder's "
            "sparsity.",
        ),
        Chart(
            title="Cost of the encoder",
            x="l0_sae_held_out",
            y="amortisation_gap_held_out",
            colour="architecture",
            dash="null",
            log_x=True,
            caption="Error of the encoder's codes minus that of exact codes on the same decoder.",
        ),
    ),
)
