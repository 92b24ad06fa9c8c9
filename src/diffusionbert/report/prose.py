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

TIGHTENED = [
    "The plain bound is loose: it is what one denoising trajectory costs on average. The average of the "
    "*probabilities* of K trajectories, each divided by how often the forward process takes it, gives a bound "
    "that falls towards the model's own -ln p(x_0) as K grows (Burda et al., arXiv 1509.00519). How far the "
    "perplexities above sit over the exact ones is at least the difference below.",
]

AUDIT = [
    "Is a protocol's figure a bound? Here the answer is known beforehand. Tokens are drawn independently from a "
    "law p(v), so that no model of any kind can need fewer nats per token than the entropy of p: a figure "
    "below it is an error of accounting, whatever the denoiser. What each protocol reports for a denoiser "
    "that knows p is computed in closed form, not sampled. The same closed forms on a small source are held "
    "against the code that scores the arms, by enumeration: the two must agree, or this stage fails.",
    "Two denoisers are told apart. The *true posterior* is what a [MASK] at step t really holds: frequent "
    "words are masked later under the spindle, so at a given step they are rarer among the masked. The *own "
    "minimiser* is the denoiser that an arm trained under that protocol is pushed towards: it predicts which "
    "word would be revealed at this very step, which the protocol has told it will happen. Its figure under "
    "valid, where it has to pay for that knowledge, stands beside it.",
]

AUDIT_TRAINED = [
    "The same with a network: the project's own arm, training loop and scorer on sentences of independent "
    "tokens. The figures are nats per token above the entropy, ± two standard errors, from draws paired "
    "with those of a denoiser that knows p. A network that has not learnt everything stands a little above "
    "zero; below zero it cannot have learnt its way.",
]

AUDIT_LIMITS = (
    "What this cannot tell: it says what accounting *could* produce, not what it did. The two lambdas are not "
    "of one unit: that of oracle is eq. 12's, that of released the code's own, whose default 0.3 is a much "
    "weaker spindle in eq. 12 (docs/deviations.md, entry 5). Tokens per word and one of the sources are of "
    "this corpus, the published figures of LM1B. No checkpoint was "
    "published that could be scored again, and the paper names neither its lambda nor which code made its "
    "table. Independent tokens have no context, so that a figure here is made of the unigram law alone; a "
    "denoiser of text sees neighbours, needs fewer nats for most words and other ones for rare words, and "
    "the same schedule can shift its figure by more or by less. Training under the spindle may also help "
    "in earnest. An arm's own figures under valid, above, are what can show that; the paper's cannot."
)

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
    "nltk's unsmoothed corpus_bleu of one sentence at a time, averaged. Both sides are tokenised alike; "
    "the case is in the signature. The last row scores held-out real sentences in the same way. It is no "
    "ceiling of BLEU: samples have a length of their own and are drawn from the likeliest words only, and "
    "both can raise theirs above it.",
]

PAIRS = [
    "Every arm names the arm it is to be compared with. Both were scored on the same sentences, and the "
    "bootstrap draws the same resamples for both, so that the spread between sentences, which they share, "
    "cancels.",
    "For a spindle arm over a linear one there is one line more, *released against valid*: the spindle arm "
    "as the released code scores it over the linear arm's valid bound, which is what that code gives a "
    "linear arm but for its cap. This is the comparison that the paper's table makes.",
]

FRONTIER = [
    "A sampler can be made colder, by its temperature or by keeping the k likeliest words only. BLEU then rises and so "
    "does Self-BLEU: one setting alone compares samplers no better than one point compares two curves. Every point has "
    "the same number of samples, on which Self-BLEU depends.",
]

RACE = [
    "The two arms of a pair differ in nothing but their first weights. Figures are of the arm's own objective on the "
    "first sentences of the valid split, logged while training.",
]

SECONDS = "The seconds of Table 3, which differ from run to run, are on the page of timings."

TIMINGS = [
    "Everything on this page depends on the machine and differs from run to run. It is kept apart from the "
    "results, which do not.",
]

COSTS = (
    "Seconds of the stage's whole process. The peak is the highest of the arm's stages. A cell without a number: that "
    "stage did not run for the arm, or not on this machine."
)
