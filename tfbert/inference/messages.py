"""What the server takes and gives: the API of serve.py."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MOST_BYTES = 2_000_000  # of a request's body
MOST_TEXTS, MOST_EXPLAINED = 32, 4  # in a request
MOST_SIGNS = 200_000  # of all its texts: some seconds of work

Text = Annotated[str, StringConstraints(min_length=1)]


class Pair(BaseModel):
    """Two texts, for a model of pairs."""

    model_config = ConfigDict(extra="forbid")
    text: Text
    text_pair: Text


Texts = Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
Pairs = Annotated[list[Pair], Field(min_length=1, max_length=MOST_TEXTS)]


class Parameters(BaseModel):
    """Of Hugging Face's task; others that it knows have no meaning here."""

    top_k: Annotated[int, Field(ge=1)] | None = Field(None, description="labels to return, the likeliest; default all")


class Inputs(BaseModel):
    """As Hugging Face's text classification takes them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"inputs": "A wonderful film."}]})
    inputs: Text | Pair | Texts | Pairs
    parameters: Parameters | None = None


class Plain(BaseModel):
    """Texts, and for a model of pairs as many second ones."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"texts": ["A wonderful film."]}]})
    texts: Texts
    others: Texts | None = None


class ToExplain(BaseModel):
    """A text, or two, or a few."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"inputs": "A wonderful film."}]})
    inputs: (
        Text
        | Pair
        | Annotated[list[Text], Field(min_length=1, max_length=MOST_EXPLAINED)]
        | Annotated[list[Pair], Field(min_length=1, max_length=MOST_EXPLAINED)]
    )


class Score(BaseModel):
    label: str
    score: float


class Result(BaseModel):
    """label: the likeliest, or, where several may hold, those above their thresholds with commas between them; null for
    a text without a word or sign that the model knows.
    """

    label: str | None
    probability: float | None
    probabilities: dict[str, float] | None


class Word(BaseModel):
    """start, end: in the text, in characters; score: how far it speaks for the label, in log-odds."""

    text: str
    start: int
    end: int
    score: float
    part: int | None = None


class Reason(BaseModel):
    label: str
    words: list[Word]


class Explained(Result):
    explanation: list[Reason]


class Problem(BaseModel):
    """What is wrong with a request, or with the server."""

    detail: str


class Health(BaseModel):
    status: str


class Info(BaseModel):
    """The model and what it takes."""

    model: str
    version: str
    labels: list[str]
    several_labels: bool
    pairs: bool
    max_seq_length: int
    long_texts: str
    example: str
    limits: dict[str, int]
    figures: dict
    plots: list[str]


def problems(**words):
    return {int(code[1:]): {"model": Problem, "description": text} for code, text in words.items()}


REFUSED = problems(
    _400="The body is not JSON.",
    _401="An API key is needed, as a bearer token.",
    _413=f"The body has more than {MOST_BYTES:,} bytes.",
    _422="The body is not what the model takes.",
    _503="Too many texts wait: come again after the seconds that Retry-After names.",
    _504="It was not done in time.",
)
