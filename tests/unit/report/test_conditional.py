"""The report of a corpus of pairs: its tables, its claims, and what it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pairs_results import BLEU, ROWS, near_copies_of, pair_params, spread_of, write_pairs
from synthetic_results import edit, make_params, write_results

from diffusionbert.config import Pairs
from diffusionbert.files import read_json, write_text
from diffusionbert.report import claim_page, conditional_prose
from diffusionbert.report.conditional import brief
from diffusionbert.report.conditional_claims import conditional_claims
from diffusionbert.report.conditional_systems import beginnings
from diffusionbert.report.document import Document, Table, Text
from diffusionbert.report.findings import summary
from diffusionbert.report.html import render_html
from diffusionbert.report.key import lock_key
from diffusionbert.report.markdown import render_markdown
from diffusionbert.report.paper_pairs import QQP, TABLE, published
from diffusionbert.report.results import Results, read_results
from diffusionbert.report.sections import as_yaml, report
from diffusionbert.report.verdicts import Verdict

pytestmark = pytest.mark.usefixtures("no_drawings")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "results" / "pairs", pair_params())


def read(folder: Path) -> Results:
    return read_results(folder, pair_params(), folder / "dvc.lock")


def tables(document: Document, caption: str) -> list[Table]:
    blocks = [block for section in document.sections for block in section.blocks]
    return [block for block in blocks if isinstance(block, Table) and caption in block.caption]


def verdicts(results: Results) -> dict[str, Verdict]:
    return {claim.name: claim.verdict for claim in conditional_claims(results)}


def test_arms_and_baselines_stand_in_two_tables_one_for_each_way_of_counting(folder: Path) -> None:
    document = report(read(folder))
    (ours,) = tables(document, "as we count (")
    assert [row[0] for row in ours.rows] == [
        *(label for label, _, _ in ROWS.values()),
        "Copy of the source",
        "Nearest neighbour in train",
        "The references themselves",
    ]
    by_name = {row[0]: dict(zip(ours.columns, row, strict=True)) for row in ours.rows}
    assert by_name["DiffuSeq"]["Nats per target"].startswith("≤ 70.00")
    assert by_name["GPT, autoregressive"]["Nats per target"].startswith("= 70.00")
    assert by_name["Copy of the source"]["Self-BLEU"] == by_name["Copy of the source"]["Nats per target"] == "n/a"
    assert [by_name[name]["Steps"] for name in ("DiffuSeq", "GPT, autoregressive")] == ["12", "32"]
    assert (ours.rows[0][2], by_name["Copy of the source"]["Steps"]) == ("8", "n/a")
    references = by_name["The references themselves"]
    assert (references["BLEU"], references["dist-1"]) == ("n/a", "0.3000")
    (more,) = tables(document, "What to read the scores with")
    held = dict(zip(more.columns, more.rows[0], strict=True))
    assert (held["Candidates"], held["Empty candidates"], held["Sources without two texts"]) == ("300", "7", "0")
    assert more.rows[-1][:7] == ["The references themselves", *["n/a"] * 4, "25.50", "n/a"]
    assert by_name["DiffuSeq"]["BLEU"].startswith(f"{BLEU['diffuseq']:.4f} [")
    assert not any("BERTScore" in column for column in ours.columns)
    (theirs,) = tables(document, "as DiffuSeq's script counts")
    assert theirs.columns == ["System", "BLEU", "ROUGE-L", "dist-1", "Self-BLEU", "div-4"]


def test_the_data_are_named_in_words_and_the_books_that_are_held_out(folder: Path) -> None:
    told = {"source": "pairs", "pairs": {"task": "kjv_web", "packages": ["a", "b"]}}
    packages = {name: {"version": "1", "sha256": "0" * 64} for name in ("a", "b")}
    params = pair_params(corpus=told | {"valid_share": 0.05, "test_share": 0.1}, packages=packages)
    edit(folder / "corpus" / "metrics.json", held_out_books={"valid": ["Jonah"], "test": ["Ezra", "James"]})
    document = report(read_results(folder, params, folder / "dvc.lock"))
    (books,) = tables(document, "Books held out")
    assert books.rows == [["valid", "Jonah"], ["test", "Ezra, James"]]
    sections = {section.anchor: section.blocks for section in document.sections}
    for anchor in ("conditional", "corpus"):
        assert Text(conditional_prose.TASKS["kjv_web"]) in sections[anchor]
    assert "World English Bible" in conditional_prose.TASKS["kjv_web"]
    assert set(get_args(Pairs.model_fields["task"].annotation)) == set(conditional_prose.TASKS)


def test_the_published_tables_are_tables_of_their_own_with_their_data_named(folder: Path) -> None:
    found = tables(report(read(folder)), "Published: ")
    assert len(found) == len({row.task for row in TABLE})
    rows = {row[0]: row for table in found for row in table.rows if "QQP" in table.caption}
    assert rows["DiffuSeq"][1:7] == ["0.2413", "0.5880", "0.8365", "0.9807", "0.2732", "0.8641"]
    assert rows["DiffusionBERT, 10 candidates"][1:3] == ["n/a", "0.5890"]
    assert not {label for label, _, _ in ROWS.values() if label != "DiffuSeq"} & set(rows)
    assert published(QQP, "DiffuSeq").div_4 == 0.8641
    with pytest.raises(KeyError, match="nobody on QQP"):
        published(QQP, "nobody")


def test_the_page_leaves_out_what_belongs_to_the_papers_unconditional_task(folder: Path) -> None:
    document = report(read(folder))
    anchors = [section.anchor for section in document.sections]
    assert anchors[:3] == ["claims", "conditional", "samples"]
    assert not {"table-2", "table-3", "figure-3", "text", "generative"} & set(anchors)
    html, markdown = render_html(document), render_markdown(document)
    assert "LM1B" not in markdown
    assert "<b>Egypt</b>" not in html
    assert render_markdown(report(read(folder))) == markdown


def test_samples_have_the_source_its_reference_and_every_systems_choice(folder: Path) -> None:
    first, second = tables(report(read(folder)), "Source ")
    assert first.rows[:2] == [["Source", "And he went unto <b>Egypt</b>."], ["Reference", "He went to Egypt."]]
    assert [row[0] for row in first.rows[2:]] == [
        *(label for label, _, _ in ROWS.values()),
        "Nearest neighbour in train",
    ]
    assert [row[1] for row in first.rows[2:4]] == ["linear went to Egypt .", "spindle went to Egypt ."]
    assert first.rows[5] == ["GPT, autoregressive", "(empty)"]
    told = "DiffusionBERT, linear, TAD 8; DiffusionBERT, spindle, TAD 8; DiffuSeq 12; GPT, autoregressive 32."
    assert f"top p n/a. Steps: {told}" in render_markdown(report(read(folder)))
    assert second.caption == "Source 1"  # report.num_samples is 2


def test_bertscore_has_a_column_where_it_was_taken(folder: Path) -> None:
    held = read_json(folder / "pairs" / "metrics.json")
    for each in (*held["arms"].values(), *held["baselines"].values()):
        each["bertscore"] = {"value": 0.5, "low": 0.4, "high": 0.6}
    edit(folder / "pairs" / "metrics.json", bertscore="tiny", arms=held["arms"], baselines=held["baselines"])
    (ours,) = tables(report(read(folder)), "as we count (")
    assert ours.rows[0][ours.columns.index("BERTScore (tiny)")] == "0.5000 [0.4000, 0.6000]"


def test_the_summary_names_the_best_and_the_most_varied_beside_the_baselines(folder: Path) -> None:
    lines = summary(read(folder))
    assert "training pairs" in lines[0]
    assert "words of targets" in lines[0]
    assert "“DiffusionBERT, spindle, TAD”, 0.3100" in lines[-1]
    assert "copying the source: 0.4000" in lines[-1]
    assert "“DiffuSeq”, div-4 0.8500" in lines[-1]


def test_without_a_spread_over_seeds_nothing_is_decided(folder: Path) -> None:
    assert set(verdicts(read(folder)).values()) == {Verdict.INCONCLUSIVE}


def test_with_one_the_rules_decide(folder: Path) -> None:
    """DiffusionBERT is ahead of the others and less diverse than DiffuSeq; the spindle raises the perplexity here."""
    edit(folder / "pairs" / "metrics.json", spread=[spread_of(0.001)])
    found = verdicts(read(folder))
    assert found["conditional_quality"] == Verdict.REPRODUCED
    assert found["conditional_diversity"] == Verdict.CONTRADICTED
    (part, bleu, rouge) = conditional_claims(read(folder))[2].parts
    assert part.decision.verdict == Verdict.INCONCLUSIVE  # no spread of perplexities was measured
    assert part.ours is not None
    assert part.ours.value < 0  # linear over spindle was above one, and this is the other way round
    assert bleu.decision.verdict == rouge.decision.verdict == Verdict.REPRODUCED
    assert "Self-BLEU" in str(claim_page.rules(read(folder))[0])


def test_quality_that_is_missing_by_more_than_the_spread_contradicts(folder: Path) -> None:
    held = read_json(folder / "pairs" / "metrics.json")
    for row in held["contrasts"]:
        if (row["one"], row["other"]) == ("linear", "diffuseq"):
            row["bleu"] = {"value": -0.1, "low": -0.12, "high": -0.08, "sources": 100}
    edit(folder / "pairs" / "metrics.json", contrasts=held["contrasts"], spread=[spread_of(0.01)])
    (quality, _, _) = conditional_claims(read(folder))
    assert quality.verdict == Verdict.CONTRADICTED
    assert quality.parts[0].ours is not None
    assert quality.parts[0].ours.value == pytest.approx(0.1)
    edit(folder / "pairs" / "metrics.json", spread=[spread_of(0.05)])
    assert conditional_claims(read(folder))[0].parts[0].decision.verdict == Verdict.INCONCLUSIVE


def test_quality_is_compared_with_every_other_trained_row(folder: Path) -> None:
    """Comparable to DiffuSeq is not comparable to the baselines where left to right is far ahead."""
    held = read_json(folder / "pairs" / "metrics.json")
    for row in held["contrasts"]:
        if row["one"] in ("linear", "spindle") and row["other"] == "gpt":
            row["rouge_l"] = {"value": -0.05, "low": -0.06, "high": -0.04, "sources": 100}
    edit(folder / "pairs" / "metrics.json", contrasts=held["contrasts"], spread=[spread_of(0.001)])
    (quality, _, _) = conditional_claims(read(folder))
    assert quality.verdict == Verdict.CONTRADICTED
    decided = {part.compared.split(":")[0]: part.decision.verdict for part in quality.parts}
    assert len(decided) == 8
    against = {name for name, verdict in decided.items() if verdict == Verdict.CONTRADICTED}
    assert against == {f"“GPT, autoregressive” minus “{ROWS[name][0]}”, ROUGE-L" for name in ("linear", "spindle")}
    printed = {part.published for part in quality.parts if "“DiffuSeq”" in part.compared}
    assert printed == {"QQP: 0.589 against 0.588", "in its abstract; its tables were not at hand"}


def test_a_system_that_writes_nothing_is_no_measure_of_quality(folder: Path) -> None:
    """What is missing to an empty text's score is negative: without this rule it would be reproduced."""
    held = read_json(folder / "pairs" / "metrics.json")
    held["arms"]["diffuseq"]["empty"] = 51
    edit(folder / "pairs" / "metrics.json", arms=held["arms"], spread=[spread_of(0.001)])
    (quality, _, _) = conditional_claims(read(folder))
    decided = {("DiffuSeq" in part.compared, part.decision.verdict) for part in quality.parts}
    assert decided == {(True, Verdict.INCONCLUSIVE), (False, Verdict.REPRODUCED)}
    assert quality.parts[0].decision.reason == "“DiffuSeq” writes nothing for 51 of 100 sources"
    held["arms"]["diffuseq"]["empty"] = 50
    edit(folder / "pairs" / "metrics.json", arms=held["arms"])
    assert verdicts(read(folder))["conditional_quality"] == Verdict.REPRODUCED


@pytest.mark.parametrize("name", ["linear", "diffuseq"])
def test_a_system_that_is_not_above_the_nearest_neighbour_is_none_either(folder: Path, name: str) -> None:
    held = read_json(folder / "pairs" / "metrics.json")
    for row in held["contrasts"]:
        if (row["one"], row["other"]) == (name, "nearest"):
            row["bleu"] = {"value": 0.01, "low": -0.01, "high": 0.03, "sources": 100}
    edit(folder / "pairs" / "metrics.json", contrasts=held["contrasts"], spread=[spread_of(0.001)])
    parts = conditional_claims(read(folder))[0].parts
    bleu, rouge = parts[:2]  # of the linear arm against DiffuSeq
    assert bleu.decision.verdict == Verdict.INCONCLUSIVE
    assert f"“{ROWS[name][0]}” is not above that of the nearest neighbour in train" in bleu.decision.reason
    assert rouge.decision.verdict == Verdict.REPRODUCED
    assert "“DiffuSeq” minus “DiffusionBERT, spindle, TAD”, BLEU" in parts[4].compared
    assert parts[4].decision.verdict == (Verdict.REPRODUCED if name == "linear" else Verdict.INCONCLUSIVE)
    held["contrasts"] = [row for row in held["contrasts"] if row["other"] != "nearest"]
    edit(folder / "pairs" / "metrics.json", contrasts=held["contrasts"])
    assert verdicts(read(folder))["conditional_quality"] == Verdict.NOT_RUN


def test_diversity_is_compared_with_every_other_trained_row(folder: Path) -> None:
    """More diverse than left to right alone is no more than half of the claim: DiffuSeq may be ahead."""
    edit(folder / "pairs" / "metrics.json", spread=[spread_of(0.001)])
    diversity = conditional_claims(read(folder))[1]
    decided = {(part.compared, part.decision.verdict) for part in diversity.parts}
    assert decided == {
        (f"“{ROWS[one][0]}” minus “{ROWS[other][0]}”, {score}", verdict)
        for one in ("linear", "spindle")
        for other, verdict in (("diffuseq", Verdict.CONTRADICTED), ("gpt", Verdict.REPRODUCED))
        for score in ("div-4", "Self-BLEU")
    }
    held = read_json(folder / "pairs" / "metrics.json")
    for row in held["contrasts"]:
        if row["one"] in ("linear", "spindle") and row["other"] == "diffuseq":
            row["div_4"], row["self_bleu"] = row["self_bleu"], row["div_4"]
    edit(folder / "pairs" / "metrics.json", contrasts=held["contrasts"])
    assert conditional_claims(read(folder))[1].verdict == Verdict.REPRODUCED


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("noise", ["linear", "gpt"])
def test_the_diversity_of_noise_decides_nothing(folder: Path, noise: str, seeds: int) -> None:
    """Not by one seed and not by three: a side whose BLEU is not above the nearest neighbour's is no measure."""
    held = read_json(folder / "pairs" / "metrics.json")
    for row in held["contrasts"]:
        if (row["one"], row["other"]) == (noise, "nearest"):
            row["bleu"] = {"value": 0.01, "low": -0.01, "high": 0.03, "sources": 100}
    several = {"linear": [0.80, 0.81, 0.79], "gpt": [0.60, 0.61, 0.59]}
    by_seed = {name: {"seeds": [0, 1, 2], "div_4": {"values": each}} for name, each in several.items()}
    changes = {"seeds": by_seed} if seeds == 3 else {"spread": [spread_of(0.001)]}
    edit(folder / "pairs" / "metrics.json", contrasts=held["contrasts"], **changes)
    compared = "“DiffusionBERT, linear, TAD” minus “GPT, autoregressive”, div-4"
    (part,) = [part for part in conditional_claims(read(folder))[1].parts if part.compared == compared]
    assert part.decision.verdict == Verdict.INCONCLUSIVE
    assert part.decision.reason == f"BLEU of “{ROWS[noise][0]}” is not above that of the nearest neighbour in train"
    held["contrasts"] = [row for row in held["contrasts"] if row["other"] != "nearest"]
    edit(folder / "pairs" / "metrics.json", contrasts=held["contrasts"])
    assert {part.decision.verdict for part in conditional_claims(read(folder))[1].parts} == {Verdict.NOT_RUN}


def test_what_each_row_begins_from_stands_in_the_tables_and_beside_the_claims(folder: Path) -> None:
    results = read(folder)
    (ours,) = tables(report(results), "as we count (")
    assert [row[ours.columns.index("Init")] for row in ours.rows] == [
        *("pretrained", "pretrained", "random", "random"),
        *["n/a"] * 3,
    ]
    told = (
        "from: “DiffusionBERT, linear, TAD” and “DiffusionBERT, spindle, TAD” from pretrained weights, “DiffuSeq” and "
        "“GPT, autoregressive” from random weights; each was then trained on these pairs for 1,000 steps. What one of "
        "the former has over one of the latter is pretraining and system together."
    )
    quality, diversity, _ = conditional_claims(results)
    assert all(told in note for note in (ours.note, quality.note, diversity.note))
    short = brief(results)
    assert [row[short.columns.index("Init")] for row in short.rows[1:3]] == ["pretrained", "random"]
    alike = results.params.model_copy(
        update={"arms": {name: results.params.arms[name] for name in ("linear", "spindle")}}
    )
    assert "together" not in beginnings(read_results(folder, alike, folder / "dvc.lock"))


def test_near_copies_are_told_beside_the_nearest_neighbour(folder: Path) -> None:
    (more,) = tables(report(read(folder)), "What to read the scores with")
    found = {row[0]: dict(zip(more.columns, row, strict=True)) for row in more.rows}
    nearest = found["Nearest neighbour in train"]
    assert (nearest["Median BLEU"], nearest["BLEU without near copies"][:8]) == ("0.03000", "0.04000 ")
    assert found["The references themselves"]["BLEU without near copies"] == "n/a"
    told = (
        "Near copies: of 3 of the 100 sources the nearest neighbour's target reaches a BLEU of 0.5 or more against the "
        "reference. With them its BLEU is "
    )
    assert told in render_markdown(report(read(folder)))
    edit(folder / "pairs" / "metrics.json", near_copies=near_copies_of(0))
    assert "With them its BLEU" not in render_markdown(report(read(folder)))


def test_targets_in_train_are_told_where_there_are_any_and_what_was_left_out(folder: Path) -> None:
    sizes = {"train": 900, "valid": 50, "test": 60}
    edit(folder / "corpus" / "metrics.json", sentences=sizes, targets_in_train={"valid": 0, "test": 0}, dropped={})
    assert "word for word" not in render_markdown(report(read(folder)))
    edit(folder / "corpus" / "metrics.json", source="pairs", targets_in_train={"valid": 0, "test": 20})
    text = render_markdown(report(read(folder)))
    assert "Held-out targets that stand in train word for word: 20 of the 60 of test." in text
    edit(folder / "corpus" / "metrics.json", targets_in_train={"valid": 0, "test": 0}, dropped={"in_train": 35})
    document = report(read(folder))
    assert "or target stands in train word for word are left out of the corpus: 35." in render_markdown(document)
    (left_out,) = tables(document, "Pairs left out")
    assert left_out.rows == [["in train", "35"]]


def test_the_short_table_leaves_out_the_diversity_of_a_few_sources(folder: Path) -> None:
    held = read_json(folder / "pairs" / "metrics.json")
    held["arms"]["diffuseq"] |= {"without_two_texts": 51, "without_four_grams": 50}
    edit(folder / "pairs" / "metrics.json", arms=held["arms"])
    short = brief(read(folder))
    row = dict(zip(short.columns, short.rows[2], strict=True))
    assert row["Self-BLEU"] == "n/a"
    assert row["div-4"].startswith("0.8500")
    assert dict(zip(short.columns, short.rows[0], strict=True))["Self-BLEU"].startswith("0.2000")


def test_a_score_that_most_sources_lack_decides_nothing(folder: Path) -> None:
    held = read_json(folder / "pairs" / "metrics.json")
    for row in held["contrasts"]:
        row.get("div_4", {})["sources"] = 49
    for each in held["arms"].values():
        each["without_four_grams"] = 51
    edit(folder / "pairs" / "metrics.json", contrasts=held["contrasts"], arms=held["arms"], spread=[spread_of(0.001)])
    parts = conditional_claims(read(folder))[1].parts
    assert [part.decision.verdict for part in parts if "div-4" in part.compared] == [Verdict.NOT_RUN] * 4
    assert Verdict.NOT_RUN not in {part.decision.verdict for part in parts if "Self-BLEU" in part.compared}
    assert "on half of the sources at least; found 49" in parts[0].decision.reason
    assert "div-4" not in summary(read(folder))[-1]


def test_three_seeds_of_both_decide_by_seeds(folder: Path) -> None:
    values = {"linear": [0.30, 0.31, 0.29], "spindle": [0.33, 0.34, 0.32]}
    seeds = {name: {"seeds": [0, 1, 2], "bleu": {"values": each}} for name, each in values.items()}
    edit(folder / "pairs" / "metrics.json", seeds=seeds)
    (_, bleu, rouge) = conditional_claims(read(folder))[2].parts
    assert bleu.decision.verdict == Verdict.REPRODUCED
    assert bleu.ours is not None
    assert bleu.ours.value == pytest.approx(0.03)
    assert rouge.decision.verdict == Verdict.INCONCLUSIVE


def test_what_is_missing_is_named_and_an_empty_folder_still_makes_pages(folder: Path, tmp_path: Path) -> None:
    (folder / "pairs" / "metrics.json").unlink()
    document = report(read(folder))
    assert "Scores of pairs: not run." in render_markdown(document)
    assert verdicts(read(folder))["conditional_quality"] == Verdict.NOT_RUN
    empty = read(tmp_path / "empty")
    assert render_html(report(empty))
    assert render_html(claim_page.page(empty))
    assert set(verdicts(empty).values()) == {Verdict.NOT_RUN}


def test_the_page_of_claims_is_of_the_conditional_ones(folder: Path) -> None:
    text = render_markdown(claim_page.page(read(folder)))
    assert "comparable to that of established baselines" in text
    assert "QQP: 0.589 against 0.588" in text
    assert "Diffusion-LM: its perplexity rises" not in text


def test_other_profiles_show_the_results_of_profile_pairs_in_a_section(folder: Path, tmp_path: Path) -> None:
    from diffusionbert.stages.report import read_beside

    write_text(folder / "params.yaml", as_yaml(pair_params()))
    params = make_params()
    own = write_results(tmp_path / "results" / "synthetic", params)
    held = read_results(own, params, own / "dvc.lock", pairs_beside=read_beside(own, "pairs"))
    (section,) = [each for each in report(held).sections if each.anchor == "conditional"]
    assert section.title == "Conditional generation: profile pairs"
    assert read_beside(folder, "pairs") is None
    assert "conditional" not in [each.anchor for each in report(read_results(own, params, own / "dvc.lock")).sections]


def test_the_key_has_the_scores_of_pairs_where_there_are_pairs(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    out = {"path": "results/pairs/pairs/metrics.json", "md5": "a" * 32, "hash": "md5"}
    write_text(lock, f"stages: {{pairs: {{outs: [{{path: {out['path']}, hash: md5, md5: '{out['md5']}'}}]}}}}\n")
    assert len(lock_key(lock, pair_params()).split()[0]) == 64
    assert lock_key(lock, make_params(profile="pairs")) == "dvc.lock has no stage of profile pairs"
