import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, RobertaConfig, RobertaModel, T5Config

from vdprobe.errors import ModelError, StoreError
from vdprobe.head.words import WordEncoder, pad_words
from vdprobe.models.diffusion.clip_text import TextEncoder, byte_tokenizer
from vdprobe.models.diffusion.pipeline import find_pipeline

CPU = torch.device("cpu")
TEXT = "a ring left of the cross"


@pytest.fixture(scope="module")
def pipeline():
    return find_pipeline("random:tiny")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """A folder as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("roberta")
    tokenizer = byte_tokenizer()
    tokenizer.model_max_length = 30
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    model = RobertaModel(RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=40, **sizes))
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def load(pipeline, tmp_path):
    return lambda name="pipeline", **options: WordEncoder.load(name, pipeline, CPU, cache=tmp_path, **options)


@pytest.fixture(scope="module")
def own_encode(pipeline):
    return WordEncoder.load("pipeline", pipeline, CPU).load_encode()


def files(folder):
    return sorted(folder.rglob("*.safetensors"))


def test_the_models_own_encoder_gives_its_real_tokens(pipeline, load):
    (words,) = load()([TEXT])
    tokens = TextEncoder.load(pipeline, torch.float32, CPU)(TEXT)
    assert words.shape == (tokens.count, 64)
    assert torch.equal(words, tokens.hidden[: tokens.count])
    assert load().width == 64


@torch.no_grad()
def test_an_encoder_of_the_transformers_library_gives_its_last_hidden_state(roberta, load):
    encoder = load(str(roberta))
    first, second = encoder(["a ring", "A  ring "])
    ids = byte_tokenizer()("a ring", return_tensors="pt")
    expected = RobertaModel.from_pretrained(roberta).eval()(**ids).last_hidden_state[0]
    torch.testing.assert_close(first, expected)
    assert torch.equal(first, second)  # lower case, single spaces
    assert encoder.width == 16


@pytest.fixture(scope="module")
def cased(roberta, tmp_path_factory):
    """The same encoder with a token for each byte, which tell capitals and count spaces, as RoBERTa's do."""
    folder = shutil.copytree(roberta, tmp_path_factory.mktemp("cased") / "roberta")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = Tokenizer(models.BPE({byte: k for k, byte in enumerate(alphabet)}, []))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=model, model_max_length=30).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_raw_texts_are_read_to_the_letter_and_kept_apart(cased, load, tmp_path):
    """Equal texts share a file, whatever they are read as."""
    lower, raw = (load(str(cased), text_case=case) for case in ("lower", "raw"))
    (small,), (large,) = lower(["A  Ring"]), raw(["A  Ring"])
    assert torch.equal(small, lower(["a ring"])[0])
    assert len(large) == len(small) + 1
    ids = AutoTokenizer.from_pretrained(cased)("A  Ring", return_tensors="pt")
    expected = RobertaModel.from_pretrained(cased).eval()(ids.input_ids, ids.attention_mask).last_hidden_state[0]
    torch.testing.assert_close(large, expected)
    assert len(files(tmp_path)) == 2
    assert torch.equal(load(str(cased), text_case="raw")(["a ring"])[0], small)
    assert len(files(tmp_path)) == 2


def test_a_text_by_itself_is_as_among_others(load):
    (alone,) = load()([TEXT])
    others = load()(["x", TEXT, "the object moving up until it leaves"])
    assert torch.equal(others[1], alone)


def test_texts_that_are_cut_are_counted_also_from_the_cache(roberta, load):
    for _ in range(2):
        encoder = load(str(roberta))
        (words,) = encoder(["ring " * 20])
        assert len(words) == 30
        assert encoder.cut.keys() == {("ring " * 20).strip()}
        assert encoder.notes() == ("1 texts were cut to what the head's text encoder reads",)


def test_what_was_made_once_loads_no_encoder(load, tmp_path, monkeypatch):
    first = load()
    first.fill([TEXT, TEXT])
    assert first.encode is None  # the weights are let go
    assert len(files(tmp_path)) == 1

    def loaded(*_):
        raise AssertionError("an encoder was loaded")

    (expected,) = first([TEXT])
    monkeypatch.setattr(TextEncoder, "load", loaded)
    (words,) = load()([TEXT])
    assert torch.equal(words, expected)
    with pytest.raises(AssertionError, match="an encoder was loaded"):
        load()(["another text"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_flipped_bit_is_found_wherever_it_is(load, own_encode, tmp_path, data):
    encoder = load()
    encoder.encode = own_encode
    (expected,) = encoder([TEXT])
    (path,) = files(tmp_path)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, 8 * len(whole) - 1) | st.integers(0, 8 * 400))  # its header, more often
    whole[place // 8] ^= 1 << place % 8
    path.write_bytes(whole)
    assert torch.equal(encoder([TEXT])[0], expected)
    assert encoder.remade == [path]
    assert torch.equal(encoder([TEXT])[0], expected)
    assert encoder.remade == [path]


def test_a_damaged_or_foreign_file_is_made_anew_and_said(load, roberta, tmp_path):
    encoder = load()
    encoder([TEXT, "a cross"])
    one, other = files(tmp_path)
    shutil.copy(one, other)
    changed = bytearray(one.read_bytes())
    changed[-1] ^= 1
    one.write_bytes(changed)
    again = load()
    assert all(a.equal(b) for a, b in zip(again([TEXT, "a cross"]), encoder([TEXT, "a cross"]), strict=True))
    assert set(again.remade) == {one, other}
    assert again.notes() == (f"2 files of words in {tmp_path} were damaged or foreign and were made anew",)
    assert load().remade == []


def test_encoders_are_told_apart_by_content(pipeline, load, roberta, tmp_path):
    same = tmp_path / "same"
    shutil.copytree(roberta, same)
    assert load(str(roberta)).identity == load(str(same)).identity
    (same / "config.json").write_text((same / "config.json").read_text() + " ")
    other = WordEncoder.load("pipeline", find_pipeline("random:tiny:1"), CPU)
    assert len({e.identity for e in (load(), load(str(roberta)), load(str(same)), other)}) == 4


def test_a_control_borrows_the_encoder_of_a_model(load):
    borrowed = WordEncoder.load("pipeline:random:tiny", None, CPU)
    assert borrowed.identity == load().identity
    with pytest.raises(ModelError, match=r"a control, which has no text encoder: set words to .* pipeline:tiny-t2v"):
        WordEncoder.load("pipeline", None, CPU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", r"there is no folder \./nowhere; give one with config\.json, weights and tokenizer"),
        ("a/b/c", "there is no folder a/b/c"),
        ("roberta-bse", r"cannot fetch 'roberta-bse' .*go online once"),
        ("pipeline:tiny", "no model 'tiny'"),
    ],
)
def test_an_encoder_that_is_not_there(load, name, message, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=message) as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_no_text_encoder(load, roberta, tmp_path):
    folder = tmp_path / "t5"
    shutil.copytree(roberta, folder)
    T5Config(d_model=8).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"t5' \(t5\) is no text encoder by itself; give one such as roberta-base"):
        load(str(folder))
    (roberta / "config.json").rename(folder / "kept.json")
    with pytest.raises(ModelError, match=r"no part 'text_encoder' \(.*config\.json does not exist\)"):
        load(str(roberta))
    (folder / "kept.json").rename(roberta / "config.json")


def test_a_cache_that_cannot_be_written(pipeline, tmp_path):
    (tmp_path / "file").write_text("")
    encoder = WordEncoder.load("pipeline", pipeline, CPU, cache=tmp_path / "file")
    with pytest.raises(StoreError, match=r"cannot write .*give a store that can be written to"):
        encoder([TEXT])


def test_padding_is_told_apart():
    words, padding = pad_words([torch.ones(2, 3), torch.ones(4, 3), torch.ones(1, 3)])
    assert words.shape == (3, 4, 3)
    assert (~padding).sum(1).tolist() == [2, 4, 1]
    assert torch.equal(words.sum(-1) > 0, ~padding)
