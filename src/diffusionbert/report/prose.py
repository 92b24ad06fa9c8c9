"""What the report explains in words; no number of a result is written here."""

from __future__ import annotations

PROTOCOLS = [
    "Every masked-diffusion arm is scored under three protocols. They share the denoiser and the "
    "sentences; they differ in what the reverse model may know, and only one of them bounds the likelihood "
    "when the spindle is on.",
]

PROTOCOL_LIST = [
    "**valid**: the reverse model sees x_t and t and nothing else. That a position is still masked at t is "
    "itself evidence on its word, so the prediction is reweighted by the chance of each candidate to be "
    "masked still, and whether a position is revealed at this very step is an event the model must pay for "
    "(the timing term). The sum is an upper bound on -ln p(x_0). This is the figure we stand by.",
    "**oracle**: the paper's eq. 3 with eq. 10's schedule read literally. Under the spindle the schedule "
    "of a position depends on the word that stands there, so using it at a masked position tells the "
    "reverse model something about the very word it has to predict, and *when* to reveal it is known for "
    "free. The timing term is dropped.",
    "**released**: what the published code computes. As oracle, and moreover the posterior takes the plain "
    "schedule's rate while the keep probability takes the spindle's, so that a word's terms no longer add "
    "up to weight one: rare, costly words count for less, frequent ones for more. The release's own keep "
    "probability and its own lambda are used for a spindle arm, and lambda 0 for the others, where it "
    "is the linear schedule.",
]

NOT_BOUNDS = [
    "Why the last two are not bounds for lambda > 0: a bound on -ln p(x_0) needs a reverse process that is "
    "a distribution over x_0 made from x_t and t alone. In both protocols the probability of revealing a "
    "position is computed from the true word's information. Summed over all x_0 the 'probabilities' then "
    "exceed one, and a denoiser that knows the true posterior is not even the one that minimises the "
    "figure: it pays to predict which word would be revealed at this step rather than which word is "
    "missing. A lower figure under oracle or released can therefore be better modelling or better "
    "accounting, and only valid tells which. At lambda = 0 the schedule does not depend on the word: "
    "oracle equals valid, and released differs from it only by the release's cap on the keep probability.",
]

ORDER = [
    "For a fixed denoiser the forward process is ours to choose, so every masked language model can be "
    "scored valid under the linear schedule and under the spindle without training it again. This "
    "separates what the easy-first *order* is worth from what *training* under it is worth.",
]

UNITS = [
    "Perplexity per word is exp(nats / words), words as BERT's basic tokeniser leaves them, the unit of "
    "the paper and of D3PM; perplexity per token is exp(nats / WordPieces), the unit of most later work. "
    "The length is given and not modelled; [CLS], [SEP] and [PAD] are not counted. The paper's table names "
    "no unit.",
]

TEXT_METRICS = [
    "BLEU-4 is taken against the test sentences and Self-BLEU-4 of each sample against all the others, as "
    "nltk's unsmoothed corpus_bleu of one sentence at a time, averaged. Both sides are tokenised alike and "
    "lower-cased. The last row scores held-out real sentences in the same way: it is where a perfect "
    "sampler of sentences would be.",
]

PAIRS = [
    "Every arm names the arm it is to be compared with. Both were scored on the same sentences, and the "
    "bootstrap draws the same resamples for both, so that the spread between sentences, which they share, "
    "cancels.",
    "For a spindle arm over a linear one there is one line more, *released against valid*: the spindle arm "
    "as the released code scores it over the linear arm's valid bound, which is what that code gives a "
    "linear arm but for its cap. This is the comparison that the paper's table makes.",
]

TIMINGS = [
    "Everything on this page depends on the machine and differs from run to run. It is kept apart from the "
    "results, which do not.",
]
