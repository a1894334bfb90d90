"""Which versions a saved model needs at least, read off its files, and what the service runs."""

from __future__ import annotations

import json

import pytest

from driftwatch.retrain.compatible import cannot_load, least_versions, numbers, unsaid

OLD = "sentence_transformers.models"
NEW = "sentence_transformers.base.modules"


def saved(folder, *modules, about=None, **files):
    """A model's folder: (path, type, settings) of each module."""
    listing = []
    for number, (path, kind, settings) in enumerate(modules):
        listing.append({"idx": number, "name": str(number), "path": path, "type": kind})
        if settings is not None:
            name = "config.json" if path else "sentence_bert_config.json"
            (folder / path).mkdir(exist_ok=True)
            (folder / path / name).write_text(json.dumps(settings))
    (folder / "modules.json").write_text(json.dumps(listing))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about or {}))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def as_saved_by_6(folder):
    """As sentence-transformers 6.2 writes a BERT with mean pooling and normalisation."""
    return saved(
        folder,
        ("", f"{NEW}.transformer.Transformer", {"transformer_task": "feature-extraction"}),
        (
            "1_Pooling",
            "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
            {"embedding_dimension": 32, "pooling_mode": "mean", "include_prompt": True},
        ),
        ("2_Normalize", f"{NEW}.normalize.Normalize", {"module_output_name": "sentence_embedding"}),
        about={"__version__": {"sentence_transformers": "6.2.0", "transformers": "5.23.0"}},
        tokenizer_config={"tokenizer_class": "BertTokenizer"},
    )


def as_saved_by_5_2(folder):
    return saved(
        folder,
        ("", f"{OLD}.Transformer", {"max_seq_length": 256, "do_lower_case": False}),
        ("1_Pooling", f"{OLD}.Pooling", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}),
        ("2_Normalize", f"{OLD}.Normalize", None),
        about={"__version__": {"sentence_transformers": "5.2.0"}},
    )


def test_a_model_of_version_6_needs_version_6(tmp_path):
    assert least_versions(as_saved_by_6(tmp_path)) == {"sentence-transformers": "6.0"}


def test_without_a_step_that_moved_in_6_it_needs_5_4(tmp_path):
    folder = as_saved_by_6(tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))
    assert least_versions(folder) == {"sentence-transformers": "5.4"}


def test_a_model_in_the_old_way_loads_anywhere(tmp_path):
    assert least_versions(as_saved_by_5_2(tmp_path)) == {}


def test_the_old_place_with_new_settings_is_not_old(tmp_path):
    """To write the old names into modules.json alone is no remedy: the old modules stop at settings that are new."""
    folder = as_saved_by_5_2(tmp_path)
    (folder / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 32, "pooling_mode": "mean"}')
    assert least_versions(folder) == {"sentence-transformers": "5.4"}


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (f"{OLD}.StaticEmbedding", "3.2"),
        (f"{OLD}.Router", "5.0"),
        ("sentence_transformers.sparse_encoder.models.SpladePooling", "5.0"),
        ("sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling", "5.4"),
        ("sentence_transformers.some_day.New", "7.1.0"),
    ],
)
def test_where_a_module_lies_says_since_when_it_lies_there(tmp_path, kind, least):
    about = {"__version__": {"sentence_transformers": "7.1.0"}}
    assert least_versions(saved(tmp_path, ("", kind, None), about=about)) == {"sentence-transformers": least}


def test_a_tokenizer_without_a_class_of_its_own_needs_transformers_5(tmp_path):
    folder = as_saved_by_6(tmp_path)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')
    assert least_versions(folder)["transformers"] == "5.0"


def test_what_the_author_requires_counts(tmp_path):
    wanted = {"pytorch": ">=2.6,<3", "transformers": {"specifier": ">=5.15", "reason": "…"}, "odd": ["x"]}
    folder = saved(tmp_path, ("", f"{OLD}.Transformer", None), about={"requirements": wanted})
    assert least_versions(folder) == {"torch": "2.6", "transformers": "5.15"}


@pytest.mark.parametrize("content", ["", "[1, 2", "{}", "null", '[{"type": 3, "path": {}}]', b"\xff\xfe["])
def test_files_that_say_nothing_are_read_without_a_word(tmp_path, content):
    write = (tmp_path / "modules.json").write_bytes
    write(content if isinstance(content, bytes) else content.encode())
    assert least_versions(tmp_path) == {}


def test_a_path_out_of_the_folder_is_not_followed(tmp_path):
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "config.json").write_text('{"pooling_mode": "mean"}')
    assert least_versions(saved(inside, ("..", f"{OLD}.Pooling", None))) == {}
    assert least_versions(saved(inside, (str(tmp_path), f"{OLD}.Pooling", None))) == {}


@pytest.mark.parametrize("name", ["sentence-transformers", "sentence_transformers", "Sentence-Transformers"])
def test_an_older_service_is_refused_with_the_remedy(name):
    (said,) = cannot_load({"sentence-transformers": "6.0"}, {name: "5.6.1"})
    assert said == (
        "The service runs sentence-transformers 5.6.1, which cannot load a model that was saved for 6.0 or later. "
        "Upgrade it there to 6.0, or train with its version: 'trainer: {run: [...]}' in the service's own image."
    )


@pytest.mark.parametrize("runs", ["6.0", "6.0.0", "6.0.0rc1", "6.2.0", "10.0", "6.0.0+cpu"])
def test_the_same_or_a_newer_one_loads_it(runs):
    assert cannot_load({"sentence-transformers": "6.0"}, {"sentence-transformers": runs}) == []


def test_what_nobody_said_is_not_known_and_said():
    assert cannot_load({"transformers": "5.0"}, {"sentence-transformers": "6.2"}) == []
    assert unsaid({"transformers": "5.0"}, {"sentence-transformers": "6.2"}) == [
        "It needs transformers 5.0 or later; 'serving' does not say which one the service runs."
    ]


def test_a_version_that_is_none_is_older_than_any():
    assert numbers("latest") == ()
    assert cannot_load({"torch": "2.6"}, {"torch": "latest"})
