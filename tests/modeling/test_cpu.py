"""What trains faster on a CPU computes the same, and gives way again."""

from pathlib import Path

import pytest
import torch
from torch import nn

from marsad.config import ModelConfig
from marsad.modeling.cpu import DrawnDropout, fast_training
from marsad.modeling.encoders import find_encoder, load_network

CPU = torch.device("cpu")
SMALL = ModelConfig(max_tokens=64, overlap=16, dropout=0.25)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(share: float) -> None:
    torch.manual_seed(3)
    given = torch.full((60, 70, 48), 2.0, requires_grad=True)
    out = DrawnDropout(share)(given)
    kept = out != 0
    assert (~kept).float().mean().item() == pytest.approx(share, abs=0.004)
    assert torch.allclose(out[kept], torch.tensor(2 / (1 - share)), rtol=1e-4)
    # Four values share a draw, but not their fate; nor do those of neighbouring draws.
    flat = kept.flatten().float()
    for apart in (1, 2, 3, 4):
        together = (flat[:-apart] * flat[apart:]).mean().item()
        assert together == pytest.approx((1 - share) ** 2, abs=0.006)
    out.sum().backward()
    assert torch.equal(given.grad, out.detach() / 2)
    torch.manual_seed(3)
    assert torch.equal(DrawnDropout(share)(given), out)  # a function of the generator's state


def test_dropout_leaves_alone_what_it_should() -> None:
    given = torch.randn(5, 7)
    assert DrawnDropout(0.5).eval()(given) is given
    assert DrawnDropout(0.0).train()(given) is given
    assert torch.isfinite(DrawnDropout(0.999995)(given)).all()
    assert DrawnDropout(0.5)(torch.ones(3, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert DrawnDropout(0.5)(torch.empty(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_a_network_computes_the_same_and_is_as_it_was_afterwards(kind: str, encoders: dict[str, Path]) -> None:
    torch.manual_seed(5)
    network = load_network(find_encoder(str(encoders[kind])), SMALL, ("O", "B-ACTOR", "I-ACTOR")).eval()
    ids, mask = torch.randint(5, 50, (3, 9)), torch.tensor([[1] * 9, [1] * 4 + [0] * 5, [1] * 7 + [0] * 2])
    parts, attention = dict(network.named_modules()), network.config._attn_implementation
    with torch.no_grad():
        before = network(input_ids=ids, attention_mask=mask).logits
        with fast_training(network, CPU):
            assert network.config._attn_implementation == "eager" != attention
            assert not any(type(part) is nn.Dropout for part in network.modules())
            inside = network(input_ids=ids, attention_mask=mask).logits
            network.train()
            drawn = [network(input_ids=ids, attention_mask=mask).logits for _ in range(2)]
        assert network.training and all(part.training for part in network.modules())
        network.eval()
        after = network(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(inside, before, rtol=1e-4, atol=1e-5)
    assert not torch.equal(*drawn)
    assert torch.equal(after, before)
    assert dict(network.named_modules()) == parts
    assert network.config._attn_implementation == attention


def test_another_device_is_left_alone(encoders: dict[str, Path]) -> None:
    network = load_network(find_encoder(str(encoders["wordpiece"])), SMALL, ("O",))
    parts, attention = dict(network.named_modules()), network.config._attn_implementation
    with fast_training(network, torch.device("meta")):
        assert dict(network.named_modules()) == parts
        assert network.config._attn_implementation == attention
