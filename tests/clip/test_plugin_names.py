"""Unmodified CoOp-style method files work with `from clip import clip`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip.model
import pytest
import torch

from clip import clip, pretrained
from clip.simple_tokenizer import SimpleTokenizer
from clip.tokenizer import default_tokenizer
from clip.weights import state_dict_from
from safeio.download import file_sha256


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An embedded model called `tiny`, and an empty cache."""
    torch.manual_seed(0)
    model = open_clip.model.CLIP(
        embed_dim=32,
        vision_cfg={"image_size": 16, "layers": 1, "width": 64, "patch_size": 8},
        text_cfg={"context_length": 77, "vocab_size": 300, "width": 64, "heads": 1, "layers": 1},
        quick_gelu=True,
    )
    (tmp_path / "embedded").mkdir()
    arrays = {name: tensor.half().numpy() for name, tensor in model.state_dict().items()}
    np.savez_compressed(tmp_path / "embedded" / "tiny.npz", **arrays)
    monkeypatch.setattr(pretrained, "EMBEDDED", tmp_path / "embedded")
    monkeypatch.setenv(pretrained.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path


def load_as_plugins_do(backbone_name):
    url = clip._MODELS[backbone_name]
    model_path = clip._download(url)
    try:
        model = torch.jit.load(model_path, map_location="cpu").eval()
        state_dict = None
    except RuntimeError:
        state_dict = torch.load(model_path, map_location="cpu")
    return clip.build_model(state_dict or model.state_dict())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_embedded_model(folder):
    model = load_as_plugins_do("tiny")
    assert model.dtype == torch.float16
    weights = state_dict_from(folder / "embedded" / "tiny.npz")
    assert all(torch.equal(tensor.half(), weights[name]) for name, tensor in model.state_dict().items())
    (file,) = (folder / "cache").iterdir()
    before = file.stat().st_mtime_ns
    load_as_plugins_do("tiny")
    assert [file] == list((folder / "cache").iterdir()) and file.stat().st_mtime_ns == before, "written once"


@pytest.mark.filterwarnings("ignore")
def test_paths_of_weights_files(folder):
    weights = state_dict_from(folder / "embedded" / "tiny.npz")
    wrapped = {f"module.{name}": tensor for name, tensor in weights.items()}
    torch.save({"state_dict": wrapped}, folder / "mine.pth")
    assert load_as_plugins_do(str(folder / "mine.pth")).visual.input_resolution == 16


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_only_archives_known_by_their_checksums_are_handed_out_as_programs(folder, monkeypatch):
    """Plugins give what they get to `torch.jit.load`, which runs it."""
    program = torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1))
    program.save(str(folder / "program.pt"))
    path = clip._download(clip._MODELS[str(folder / "program.pt")])
    assert torch.equal(torch.load(path, weights_only=True)["weight"], program.weight)
    with pytest.raises(RuntimeError), open(path, "rb") as file:
        torch.jit.load(file)
    known = pretrained.Release("known", "https://openai/program.pt", file_sha256(folder / "program.pt"))
    monkeypatch.setattr(clip, "releases", lambda: {"known": known})
    monkeypatch.setattr(pretrained, "releases", lambda: {"known": known})
    monkeypatch.setenv(pretrained.CACHE_VARIABLE, str(folder))
    assert clip._download(known.url) == str(folder / "program.pt")


def test_names():
    assert clip._MODELS["ViT-B/16"] == pretrained.releases()["ViT-B/16"].url
    assert set(clip._MODELS) == set(clip.available_models())
    assert clip.tokenize("a photo of a cat").shape == (1, 77)
    assert isinstance(clip._tokenizer, SimpleTokenizer)
    assert clip._tokenizer.encode("great dane") == default_tokenizer().encode("great dane")
    with pytest.raises(pretrained.UnknownModelError, match="Did you mean RN50"):
        clip._MODELS["RN-50"]


def test_blocks_alone_are_sequence_first(folder):
    """As a file that loops over OpenAI's blocks calls them: position before sequence, the text encoder's causal."""
    model = load_as_plugins_do("tiny").float()
    tokens, images = torch.randint(1, 298, (3, 77)), torch.randn(2, 3, 16, 16)
    tokens[:, 40] = 299
    with torch.no_grad():
        x = (model.token_embedding(tokens) + model.positional_embedding).permute(1, 0, 2)
        for block in model.transformer.resblocks:
            x = block(x)
        x = model.ln_final(x.permute(1, 0, 2))[torch.arange(3), tokens.argmax(dim=-1)] @ model.text_projection
        torch.testing.assert_close(x, model.encode_text(tokens))

        encoder = model.visual
        x = encoder.conv1(images).flatten(2).permute(0, 2, 1)
        x = torch.cat([encoder.class_embedding.expand(2, 1, -1), x], dim=1) + encoder.positional_embedding
        x = encoder.ln_pre(x).permute(1, 0, 2)
        for block in encoder.transformer.resblocks:
            x = block(x)
        torch.testing.assert_close(encoder.ln_post(x[0]) @ encoder.proj, model.encode_image(images))


def test_design_details_of_the_maple_family(folder):
    weights = state_dict_from(folder / "embedded" / "tiny.npz")
    design = {"trainer": "CoOp", "vision_depth": 0, "language_depth": 0, "vision_ctx": 0, "language_ctx": 0}
    assert clip.build_model(weights, design).dtype == torch.float16
    with pytest.raises(ValueError, match="learned tokens"):
        clip.build_model(weights, {**design, "trainer": "IVLP", "vision_depth": 9, "vision_ctx": 4})


def test_what_openai_s_package_has(folder):
    """Blocks as a Sequential, a block's mask and attention, and the names of its modules."""
    from clip.model import ModifiedResNet, ResidualAttentionBlock, Transformer, VisionTransformer

    model = load_as_plugins_do("tiny").float()
    assert isinstance(model.visual, VisionTransformer) and isinstance(model.transformer, Transformer)
    block = model.transformer.resblocks[0]
    assert isinstance(block, ResidualAttentionBlock) and issubclass(ModifiedResNet, torch.nn.Module)
    x = torch.randn(5, 2, 64)
    with torch.no_grad():
        assert torch.equal(model.transformer.resblocks(x), model.transformer(x))
        own = block.attn(block.ln_1(x).transpose(0, 1), causal=True).transpose(0, 1)
        assert torch.equal(block.attention(block.ln_1(x)), own)
    assert model.visual.transformer.resblocks[0].attn_mask is None
    mask = torch.full((77, 77), float("-inf")).triu(1)
    assert torch.equal(block.attn_mask, mask)
    block.attn_mask = None  # every row sees every row
    assert torch.equal(block.attention(x), model.visual.transformer.resblocks[0].__class__.attention(block, x))
    assert not torch.equal(block.attention(x)[0], block.attn(x.transpose(0, 1), causal=True)[:, 0])
    assert torch.equal(model.build_attention_mask(), mask)
    import clip as package

    assert package.clip is clip and package.simple_tokenizer.SimpleTokenizer is clip.SimpleTokenizer
    image = clip._transform(16)
    assert image(__import__("PIL.Image").Image.new("RGB", (20, 30))).shape == (3, 16, 16)


def filled(module):
    """A module with other values than zeros in its biases."""
    for parameter in module.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return module.double().eval()


@pytest.mark.parametrize("positions", [5, 3])
def test_a_block_with_a_mask_of_its_own(positions):
    """Positional, as OpenAI's: added to the scores; its last rows where there are fewer positions."""
    from clip.model import ResidualAttentionBlock, Transformer

    mask = torch.randn(5, 5, dtype=torch.double).masked_fill(torch.eye(5).flip(0).bool(), float("-inf"))
    stack = filled(Transformer(64, 2, 4, mask))
    block, x = stack.resblocks[1], torch.randn(positions, 2, 64, dtype=torch.double)
    assert block.attn_mask is mask and isinstance(block, ResidualAttentionBlock)
    theirs = torch.nn.MultiheadAttention(64, 4).double()
    theirs.load_state_dict(block.attn.state_dict())
    expected, _ = theirs(x, x, x, need_weights=False, attn_mask=mask[-positions:, -positions:])
    torch.testing.assert_close(block.attention(x), expected)
    torch.testing.assert_close(stack(x), block(stack.resblocks[0](x)))
    assert {name for name, _ in ResidualAttentionBlock(d_model=64, n_head=4, attn_mask=mask).named_buffers()} == set()


def test_attention_pooling_by_openai_s_names():
    from clip.model import AttentionPool2d

    theirs = filled(open_clip.modified_resnet.AttentionPool2d(3, 64, 4, 16))
    own = AttentionPool2d(spacial_dim=3, embed_dim=64, num_heads=4, output_dim=16).double()
    own.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 64, 3, 3, dtype=torch.double)
    torch.testing.assert_close(own(images), theirs(images))


@pytest.mark.parametrize(
    ("weights", "uniform", "normal"),
    [("clip_vit_a", 0.2404161692, 0.3219910860), ("clip_rn_a", 0.4953839183, -0.3794547021)],
)
def test_the_random_stream_goes_on_as_behind_openai_s_build_model(weights, uniform, normal):
    """Draws that clip-anytorch 2.6.0 leaves after `build_model` of these weights, and `manual_seed(1)` before."""
    state_dict = state_dict_from(Path(__file__).parent.parent / "golden" / f"{weights}.npz")
    torch.manual_seed(1)
    clip.build_model(state_dict)
    assert torch.rand(1).item() == pytest.approx(uniform) and torch.randn(1).item() == pytest.approx(normal)
