"""params.yaml as strict, frozen models: parsing and checking only.

Every key is known, every value has its type ("false" is not a boolean, 3 is not "3"), and whatever is wrong is
told in one line that names the key, what was found and what was expected. What an arm's own system may be set to
(`arms.X.settings`) is checked by `diffusionbert.arms.build`, which knows the systems.
"""

from diffusionbert.config.corpus import (
    PACKAGED,
    Cleaning,
    Corpus,
    FilesSource,
    GrammarSource,
    Lm1bSource,
    NewsSource,
    Package,
    PairPaths,
    Pairs,
    PoolMember,
)
from diffusionbert.config.models import Arm, Backbone, Information, Spindle, Tokenize, Tokenizer
from diffusionbert.config.params import Params
from diffusionbert.config.reading import lines_of, load, parse, read_yaml
from diffusionbert.config.section import (
    ConfigError,
    Count,
    Name,
    NonNegative,
    Positive,
    PositiveFloat,
    Section,
    Sha256,
    Share,
)
from diffusionbert.config.stages import (
    Audit,
    AuditNetwork,
    Evaluate,
    Frontier,
    Generative,
    Metrics,
    PairScores,
    Report,
    Runtime,
    Sample,
    SamplePairs,
    Speed,
    Train,
    ZipfLaw,
)

__all__ = [
    "PACKAGED",
    "Arm",
    "Audit",
    "AuditNetwork",
    "Backbone",
    "Cleaning",
    "ConfigError",
    "Corpus",
    "Count",
    "Evaluate",
    "FilesSource",
    "Frontier",
    "Generative",
    "GrammarSource",
    "Information",
    "Lm1bSource",
    "Metrics",
    "Name",
    "NewsSource",
    "NonNegative",
    "Package",
    "PairPaths",
    "PairScores",
    "Pairs",
    "Params",
    "PoolMember",
    "Positive",
    "PositiveFloat",
    "Report",
    "Runtime",
    "Sample",
    "SamplePairs",
    "Section",
    "Sha256",
    "Share",
    "Speed",
    "Spindle",
    "Tokenize",
    "Tokenizer",
    "Train",
    "ZipfLaw",
    "lines_of",
    "load",
    "parse",
    "read_yaml",
]
