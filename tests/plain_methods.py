"""The methods once more, from their papers' equations on `PlainCLIP`: parameters under the published names.

Each takes a Problem, as `trainers/test_plain_methods.py` makes them, and returns what is minimised and the logits of
prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from clip import tokenize
from plain_clip import PlainCLIP


@dataclass
class Problem:
    """Settings `s`, parameters `p`, a batch, the class names and the hand-written template.

    `names` are as prompts have them, `written` as the dataset gives them, with underscores.
    """

    clip: PlainCLIP
    s: SimpleNamespace
    p: dict[str, Tensor]
    images: Tensor
    labels: Tensor
    names: list[str]
    template: str
    written: list[str]

    def embed(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        ids = tokenize(texts)
        return self.clip.w["token_embedding.weight"][ids], ids.argmax(dim=1)

    def described(self, template: str, names: list[str] | None = None) -> Tensor:
        """Text features (C, E), of any length, of a template's prompts."""
        return self.clip.text_output(*self.embed([template.format(name) for name in names or self.names]))

    def zero_shot(self, template: str | None = None) -> Tensor:
        return F.normalize(self.described(template or self.template), dim=-1)

    def logits(self, f: Tensor, w: Tensor) -> Tensor:
        return self.clip.scale * f @ w.T

    def cross_entropy(self, f: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.logits(f, w)
        return F.cross_entropy(logits, self.labels), logits


def coop_output(q: Problem) -> Tensor:
    """Text features, of any length. Class by class: start token, context and name in the asked order, the rest."""
    ctx, rows, places = q.p["prompt_learner.ctx"], [], []
    n = ctx.shape[-2]
    embedded, ends = q.embed([f"{'X ' * n}{name}." for name in q.names])
    for c, name in enumerate(q.names):
        own, length = ctx[c] if ctx.ndim == 3 else ctx, int(tokenize(name).argmax()) - 1
        start, word, rest = embedded[c, :1], embedded[c, 1 + n : 1 + n + length], embedded[c, 1 + n + length :]
        half = {"end": n, "middle": n // 2, "front": 0}[q.s.CLASS_TOKEN_POSITION]
        rows.append(torch.cat([start, own[:half], word, own[half:], rest]))
        places.append(ends[c])
    return q.clip.text_output(torch.stack(rows), torch.stack(places))


def coop_features(q: Problem) -> Tensor:
    return F.normalize(coop_output(q), dim=-1)


def coop(q: Problem):
    return q.cross_entropy(q.clip.image_features(q.images), coop_features(q))


def kgcoop(q: Problem):
    w = coop_features(q)
    loss, logits = q.cross_entropy(q.clip.image_features(q.images), w)
    return loss + q.s.W * (1 - (w * q.zero_shot()).sum(-1).mean()), logits


def prograd(q: Problem):
    """The loss whose gradient is the corrected one: cross-entropy and a linear term."""
    f, t = q.clip.image_features(q.images), q.s.T
    loss, logits = q.cross_entropy(f, coop_features(q))
    soft = (q.logits(f, q.zero_shot()) / t).softmax(-1)
    distilled = -(soft * (logits / t).log_softmax(-1)).sum(-1).mean() * t**2
    ctx = q.p["prompt_learner.ctx"]
    (own,), (general,) = (torch.autograd.grad(x, ctx, retain_graph=True) for x in (loss, distilled))
    direction = general / general.norm().clamp(min=1e-12)  # of a single class nothing is to be distilled
    against = min((own * direction).sum().item(), 0.0)
    fix = -q.s.LAMBDA * against * direction * ctx
    return loss + (fix - fix.detach()).sum(), logits


def cocoop(q: Problem):
    f, ctx = q.clip.image_features(q.images), q.p["prompt_learner.ctx"]
    embedded, ends = q.embed([f"{'X ' * len(ctx)}{name}." for name in q.names])
    net = {k.removeprefix("prompt_learner.meta_net."): v for k, v in q.p.items()}
    logits = []
    for one in f:
        hidden = F.linear(one, net["linear1.weight"], net["linear1.bias"]).relu()
        shifted = ctx + F.linear(hidden, net["linear2.weight"], net["linear2.bias"])
        logits.append(q.logits(one, q.clip.text(with_context(embedded, shifted), ends)))
    return F.cross_entropy(torch.stack(logits), q.labels), torch.stack(logits)


def with_context(embedded: Tensor, ctx: Tensor) -> Tensor:
    own = ctx.expand(len(embedded), -1, -1)
    return torch.cat([embedded[:, :1], own, embedded[:, 1 + ctx.shape[-2] :]], dim=1)


def last(prompts: dict[int, Tensor]):
    """Image prompts: appended at the embedded input, later replaced."""

    def put(layer, x):
        if layer not in prompts:
            return x
        there = x if layer == 0 else x[:, : -len(prompts[layer])]
        return torch.cat([there, prompts[layer].expand(len(x), -1, -1)], dim=1)

    return put


def behind_start(prompts: dict[int, Tensor]):
    """Text prompts in the places after the start token."""
    return lambda layer, x: with_context(x, prompts[layer]) if layer in prompts else x


def deep(q: Problem, encoder: str) -> dict[int, Tensor]:
    """Prompts of an encoder by layer, from IVLP's names: block i (from 0) is layer i + 1."""
    prefix = f"{encoder}_encoder.transformer.resblocks."
    return {int(k.removeprefix(prefix).split(".")[0]) + 1: v for k, v in q.p.items() if k.startswith(prefix)}


def vpt_output(q: Problem) -> Tensor:
    """Image features, of any length."""
    shallow = {0: q.p["image_encoder.VPT"]} if "image_encoder.VPT" in q.p else {}
    return q.clip.image_output(q.images, last(shallow | deep(q, "image")))


def vpt_image(q: Problem) -> Tensor:
    return F.normalize(vpt_output(q), dim=-1)


def vpt(q: Problem):
    return q.cross_entropy(vpt_image(q), q.zero_shot("a photo of a {}."))


def words_of(q: Problem, ctx: Tensor) -> str:
    return q.s.CTX_INIT if q.s.CTX_INIT and len(ctx) <= 4 else " ".join("X" * len(ctx))


def prompted_output(q: Problem, prompts: dict[int, Tensor]) -> Tensor:
    """Text features, of any length."""
    if "prompt_learner.ctx" not in q.p:
        return q.described(f"{q.s.CTX_INIT} {{}}.".strip())
    ctx = q.p["prompt_learner.ctx"]
    embedded, ends = q.embed([f"{words_of(q, ctx)} {name}." for name in q.names])
    return q.clip.text_output(with_context(embedded, ctx), ends, behind_start(prompts))


def ivlp_outputs(q: Problem) -> tuple[Tensor, Tensor]:
    return vpt_output(q), prompted_output(q, deep(q, "text"))


def ivlp(q: Problem):
    return q.cross_entropy(*(F.normalize(x, dim=-1) for x in ivlp_outputs(q)))


def promptsrc(q: Problem, templates: list[str]):
    f, w = (F.normalize(x, dim=-1) for x in ivlp_outputs(q))
    f_0 = q.clip.image_features(q.images)
    w_0 = F.normalize(torch.stack([q.described(template) for template in templates]).mean(0), dim=-1)
    loss, logits = q.cross_entropy(f, w)
    student, teacher = logits.log_softmax(-1), q.logits(f_0, w_0).log_softmax(-1)
    divergence = (teacher.exp() * (teacher - student)).sum() / logits.numel()
    text, image = (w - w_0).abs().mean(), (f - f_0).abs().mean()
    return loss + q.s.TEXT_LOSS_WEIGHT * text + q.s.IMAGE_LOSS_WEIGHT * image + divergence, logits


def maple_outputs(q: Problem) -> tuple[Tensor, Tensor]:
    def mapped(x: Tensor, name: str) -> Tensor:
        return F.linear(x, q.p[f"prompt_learner.{name}.weight"], q.p[f"prompt_learner.{name}.bias"])

    text = {i + 2: v for i, v in numbered(q, "prompt_learner.compound_prompts_text.").items()}
    image = {i: mapped(v, f"compound_prompt_projections.{i - 2}") for i, v in text.items()}
    image[0] = mapped(q.p["prompt_learner.ctx"], "proj")
    return q.clip.image_output(q.images, last(image)), prompted_output(q, text)


def maple(q: Problem):
    return q.cross_entropy(*(F.normalize(x, dim=-1) for x in maple_outputs(q)))


def coprompt(q: Problem, templates: list[str], drawn: int):
    """Both augmentations are the same images; `drawn` is the text that teaches."""

    def adapted(z: Tensor, kind: str, weight: float) -> Tensor:
        hidden = F.linear(z, q.p[f"adapter_{kind}.fc.0.weight"]).relu()
        return F.normalize(
            (1 - weight) * z + weight * F.linear(hidden, q.p[f"adapter_{kind}.fc.2.weight"]).relu(), dim=-1
        )

    z, t = maple_outputs(q)
    f, w = adapted(z, "image", q.s.IMAGE_ADAPTER_M), adapted(t, "text", q.s.TEXT_ADAPTER_M)
    loss, logits = q.cross_entropy(f, w)
    of_texts, of_images = (w * q.zero_shot(templates[drawn])).sum(-1), (f * q.clip.image_features(q.images)).sum(-1)
    return loss + q.s.W * ((1 - of_texts.mean()) + (1 - of_images.mean())), logits


def dept(q: Problem, host, outputs):
    """`outputs`: the host's image and text features, of any length."""

    def moved(z: Tensor, kind: str) -> Tensor:
        if not q.s.FILM:
            return z
        return q.p[f"film_lp_{kind}.scale"] * z + q.p[f"film_lp_{kind}.bias"]

    def head(z: Tensor) -> Tensor:
        return F.linear(z, q.p["linear_probe_proj.weight"], q.p["linear_probe_proj.bias"])

    (loss, similarity), (z, t), weight = host(q), outputs(q), q.s.WEIGHT
    of_texts, of_images = head(moved(torch.stack([t[y] for y in q.labels]), "text")), head(moved(z, "img"))
    linear = F.cross_entropy(torch.cat([of_texts, of_images]), torch.cat([q.labels, q.labels]))
    loss = loss - weight * F.cross_entropy(similarity, q.labels) + weight * linear
    fused = (1 - weight) * similarity + weight * of_images
    return loss, {"fusion": fused, "head": of_images, "similarity": similarity}[q.s.BASE_RULE]


def coop_outputs(q: Problem) -> tuple[Tensor, Tensor]:
    return q.clip.image_output(q.images), coop_output(q)


def task_res(q: Problem):
    w = q.described(q.template, q.written) + q.s.RESIDUAL_SCALE * q.p["prompt_learner.text_feature_residuals"]
    return q.cross_entropy(q.clip.image_features(q.images), F.normalize(w, dim=-1))


def with_low_rank(q: Problem, alpha: float) -> None:
    """Add alpha / sqrt(r) B A to the rows of each projection, q, k and v being the thirds of one matrix."""
    weights = q.clip.w
    for name in [name for name in q.p if name.endswith(".w_lora_A")]:
        place, _, projection = name.removesuffix(".w_lora_A").rpartition(".")
        a, b = q.p[name], q.p[f"{name[:-1]}B"]
        delta, key = alpha / len(a) ** 0.5 * b @ a, f"{place}.in_proj_weight"
        if projection == "proj":
            weights[f"{place}.out_proj.weight"] = weights[f"{place}.out_proj.weight"] + delta
            continue
        thirds = [*weights[key].chunk(3)]
        at = ["q_proj", "k_proj", "v_proj"].index(projection)
        thirds[at] = thirds[at] + delta
        weights[key] = torch.cat(thirds)


def clip_lora(q: Problem):
    with_low_rank(q, q.s.ALPHA)
    logits = 100 * q.clip.image_features(q.images) @ q.zero_shot("a photo of a {}.").T
    return F.cross_entropy(logits, q.labels), logits


def numbered(q: Problem, prefix: str) -> dict[int, Tensor]:
    return {int(k.removeprefix(prefix)): v for k, v in q.p.items() if k.startswith(prefix)}


def many_heads(q: Tensor, k: Tensor, v: Tensor, part, heads: int) -> Tensor:
    """Attention of (N, D) to (M, D), head by head; `part` gives its parameters."""
    maps, shifts = part("attention.in_proj_weight").chunk(3), part("attention.in_proj_bias").chunk(3)
    q, k, v = (F.linear(x, w, b) for x, w, b in zip((q, k, v), maps, shifts, strict=True))
    width = q.shape[-1] // heads
    mixed = []
    for h in range(heads):
        own = slice(h * width, (h + 1) * width)
        weights = (q[:, own] @ k[:, own].T / width**0.5).softmax(-1)
        mixed.append(weights @ v[:, own])
    return F.linear(torch.cat(mixed, dim=-1), part("attention.out_proj.weight"), part("attention.out_proj.bias"))


def hicropl(q: Problem, templates: list[str]):
    def norm(x: Tensor, part, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], part(f"{name}.weight"), part(f"{name}.bias"))

    def proxy(name: str, prompts: Tensor) -> Tensor:
        part = lambda key: q.p[f"{name}.{key}"]  # noqa: E731
        x, p = norm(part("token"), part, "ln_1"), norm(prompts, part, "ln_1")
        return norm(part("token") + many_heads(x, p, p, part, 8), part, "ln_2")

    def mapper(name: str, prompts: list[Tensor], proxies: list[Tensor]) -> list[Tensor]:
        part = lambda key: q.p[f"{name}.{key}"]  # noqa: E731
        pairs = zip("qkv", (prompts, proxies, proxies), strict=True)
        mine, k, v = (F.linear(torch.cat(x), part(f"{m}.weight"), part(f"{m}.bias")) for m, x in pairs)
        x = mine + many_heads(*(norm(y, part, "ln_1") for y in (mine, k, v)), part, 8)
        hidden = F.linear(norm(x, part, "ln_2"), part("mlp.0.weight"), part("mlp.0.bias"))
        x = x + F.linear(hidden * torch.sigmoid(1.702 * hidden), part("mlp.2.weight"), part("mlp.2.bias"))
        return list(x.split(len(prompts[0])))

    def fused(x: Tensor, known: Tensor) -> Tensor:
        return F.normalize(x + known, dim=-1)

    text = [q.p["ctx"], *(v for _, v in sorted(numbered(q, "text_prompts.").items()))]
    image, k = [v for _, v in sorted(numbered(q, "image_prompts.").items())], q.s.CROSS_LAYER
    shaped = mapper("to_image", image[:k], [proxy(f"text_proxies.{i}", text[i]) for i in range(k)])
    above = range(k, len(image))
    text = text[:k] + mapper("to_text", text[k:], [proxy(f"image_proxies.{i - k}", image[i]) for i in above])
    image = shaped + image[k:]
    f_0 = q.clip.image_features(q.images)
    f = q.clip.image_features(q.images, last({0: image[0]} | {i + 1: image[i] for i in range(1, len(image))}))
    embedded, ends = q.embed([f"{words_of(q, text[0])} {name}." for name in q.names])
    deeper = behind_start({i + 1: text[i] for i in range(1, len(text))})
    w = q.clip.text(with_context(embedded, text[0]), ends, deeper)
    w_0 = F.normalize(torch.stack([q.zero_shot(template) for template in templates]).mean(0), dim=-1)
    f, w = fused(f, f_0), fused(w, w_0)
    loss, logits = q.cross_entropy(f, w)
    apart = (1 - (w * w_0).sum(-1).mean()) + (1 - (f * f_0).sum(-1).mean())
    return loss + q.s.LAMBD * apart, logits


def promptkd(q: Problem):
    """The teacher is the student's own CLIP as it is; the batch's statistics normalise where there are two images."""
    own = {k.removeprefix("projection."): v for k, v in q.p.items() if k.startswith("projection.")}
    shallow = {0: q.p["image_encoder.VPT"]}
    raw = q.clip.image(q.images, last(shallow | deep(q, "image")))[:, 0] @ q.clip.w["visual.proj"]
    w, t = q.zero_shot(), q.s.TEMPERATURE
    taught = q.logits(q.clip.image_features(q.images), w)

    def projected(training: bool) -> Tensor:
        x = F.linear(raw, own["down.weight"])
        mean, var = (x.mean(0), x.var(0, correction=0)) if training and len(x) > 1 else (q.s.mean, q.s.var)
        x = (x - mean) / (var + 1e-5).sqrt() * own["norm.weight"] + own["norm.bias"]
        return F.normalize(F.linear(x.relu(), own["up.weight"], own["up.bias"]), dim=-1)

    student = q.logits(projected(True), w)
    p = (taught / t).softmax(-1)
    distance = (p * (p.log() - (student / t).log_softmax(-1))).sum() * t**2 / student.numel()
    x = F.linear(raw, own["down.weight"]).detach()
    if len(x) > 1:  # the running statistics after the step, for prediction
        q.s.mean, q.s.var = 0.9 * q.s.mean + 0.1 * x.mean(0), 0.9 * q.s.var + 0.1 * x.var(0)
    return q.s.KD_WEIGHT * distance, q.logits(projected(False), w)


def two_stage(q: Problem):
    """The first stage: weights of CLIP itself are learned, the classifier does not play yet."""
    q.clip.w |= {name: value for name, value in q.p.items() if name in q.clip.w}
    with_low_rank(q, 1.0)
    w = q.zero_shot("a photo of a {}.")
    loss, logits = q.cross_entropy(q.clip.image_features(q.images), w)
    return loss + 0 * q.p["classifier"].sum(), logits


def second_stage(q: Problem):
    """The encoders rest as the first stage left them; the classifier learns, and predicts trained classes."""
    q.clip.w |= {name: value.detach() for name, value in q.p.items() if name in q.clip.w}
    with_low_rank(q, 1.0)
    f = q.clip.image_features(q.images).detach()
    loss, logits = q.cross_entropy(f, F.normalize(q.p["classifier"], dim=-1))
    return loss + sum(0 * p.sum() for p in q.p.values()), logits


def tcp(q: Problem):
    ctx, w_0 = q.p["prompt_learner.ctx"], q.zero_shot()
    net = {k.removeprefix("prompt_learner.meta_net."): v for k, v in q.p.items()}
    hidden = F.linear(w_0, net["linear1.weight"], net["linear1.bias"])
    tokens = F.linear(hidden * torch.sigmoid(1.702 * hidden), net["linear2.weight"], net["linear2.bias"])
    tokens = tokens.view(len(w_0), *ctx.shape)
    embedded, ends = q.embed([q.s.TEMPLATE.format(name) for name in q.names])
    w = q.clip.text(with_context(embedded, ctx), ends, behind_start({q.s.CLASS_TOKENS_LAYER: tokens}))
    loss, logits = q.cross_entropy(q.clip.image_features(q.images), w)
    return loss + 8 * (1 - (w * w_0).sum(-1).mean()), logits


def mma(q: Problem):
    """The loss whose gradients are the published ones: 1 / scale times the plain ones but for the embedding stage's."""
    scale, embedding = q.s.ADAPTER_SCALE, [f"_adapter.0.{part}" for part in ("down.", "up.", "0.")]
    p = {
        name: scale * v + ((1 - scale) * v).detach() if any(part in name for part in embedding) else v
        for name, v in q.p.items()
    }

    def adapters(kind: str):
        def add(layer, x):
            if not q.s.ADAPTER_START <= layer <= q.s.ADAPTER_END:
                return 0.0
            for name in (f"{kind}.{layer}.down.0", f"shared_adapter.{layer}.0"):
                x = F.linear(x, p[f"adapter_learner.{name}.weight"], p[f"adapter_learner.{name}.bias"]).relu()
            up = f"adapter_learner.{kind}.{layer}.up"
            return scale * F.linear(x, p[f"{up}.weight"], p[f"{up}.bias"])

        return add

    embedded, ends = q.embed([f"{q.s.TEXT_CTX_INIT} {name}." for name in q.names])
    add = adapters("text_adapter")
    w = q.clip.text(embedded + add(0, embedded), ends, add=add)
    loss, logits = q.cross_entropy(q.clip.image_features(q.images, add=adapters("visual_adapter")), w)
    return loss / scale, logits


def clip_adapter(q: Problem):
    raw = q.clip.image(q.images)[:, 0] @ q.clip.w["visual.proj"]
    adapted = F.linear(F.linear(raw, q.p["adapter.fc.0.weight"]).relu(), q.p["adapter.fc.2.weight"]).relu()
    f = F.normalize(q.s.RATIO * adapted + (1 - q.s.RATIO) * raw, dim=-1)
    return q.cross_entropy(f, q.zero_shot())


def represented(q: Problem, tokens: dict[int, Tensor], beta: float):
    """Representation tokens after the first place: inserted once, later replaced, or mixed into what is there."""
    first, count = min(tokens), len(next(iter(tokens.values())))

    def put(layer, x):
        if layer not in tokens:
            return x
        new, rest = tokens[layer].expand(len(x), -1, -1), x[:, 1:]
        if layer > first:
            new, rest = beta * new + (1 - beta) * x[:, 1 : 1 + count], x[:, 1 + count :]
        return torch.cat([x[:, :1], new, rest], dim=1)

    return put


def mmrl(q: Problem):
    space, learner = q.p["representation_learner.compound_rep_tokens"], "representation_learner.compound_rep_tokens_"
    maps = {
        kind: {
            layer: F.linear(space, q.p[f"{learner}{kind}.{i}.weight"], q.p[f"{learner}{kind}.{i}.bias"])
            for i, layer in enumerate(q.s.REP_LAYERS)
        }
        for kind in ("r2vproj", "r2tproj")
    }
    return with_representations(q, maps, 1.0, q.p["image_encoder.proj_rep"])


def mmrlpp(q: Problem):
    space, maps = q.p["representation_learner.compound_rep_tokens"], {}
    for kind in ("r2vproj", "r2tproj"):
        own = {k.removeprefix(f"representation_learner.srra_{kind}."): v for k, v in q.p.items()}
        maps[kind] = {
            layer: F.linear(space, own["weight"] + own[f"srra.{i}.A"] @ own[f"srra.{i}.B"], own[f"srra.{i}.bias"])
            for i, layer in enumerate(q.s.REP_LAYERS)
        }
    proj = q.clip.w["visual.proj"] + q.p["image_encoder.A"] @ q.p["image_encoder.B"]
    return with_representations(q, maps, q.s.BETA, proj)


def with_representations(q: Problem, maps: dict[str, dict[int, Tensor]], beta: float, proj_rep: Tensor):
    rows = q.clip.image(q.images, represented(q, maps["r2vproj"], beta))
    k = q.s.N_REP_TOKENS
    f_c = F.normalize(rows[:, 0] @ q.clip.w["visual.proj"], dim=-1)
    f_r = F.normalize(rows[:, 1 : 1 + k].mean(1) @ proj_rep, dim=-1)
    embedded, ends = q.embed([q.template.format(name) for name in q.names])
    w = q.clip.text(embedded, ends + k, represented(q, maps["r2tproj"], beta))
    logits_c, logits_r = 100 * f_c @ w.T, 100 * f_r @ w.T
    main, rep = (F.cross_entropy(logits, q.labels) for logits in (logits_c, logits_r))
    image = 1 - (f_c * q.clip.image_features(q.images)).sum(-1).mean()
    text = 1 - (w * q.zero_shot()).sum(-1).mean()
    a = q.s.ALPHA
    return a * main + (1 - a) * rep + q.s.REG_WEIGHT * (image + text), a * logits_c + (1 - a) * logits_r
