"""R-Drop by its definition."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from marsad.config import Config, TrainingConfig
from marsad.modeling.losses import IGNORED, paired_loss, token_loss


def config_of(smoothing: float = 0.0) -> Config:
    return Config(labels=("A", "B"), training=TrainingConfig(label_smoothing=smoothing))


def test_r_drop_is_the_definition():
    torch.manual_seed(1)
    logits = torch.randn(4, 6, 5)
    labels = torch.randint(0, 5, (2, 6))
    labels[:, ::3] = IGNORED
    wanted = labels != IGNORED
    p, q = logits[:2][wanted].log_softmax(-1), logits[2:][wanted].log_softmax(-1)
    apart = (kl_div(p, q, reduction="sum", log_target=True) + kl_div(q, p, reduction="sum", log_target=True)) / 2
    gold = labels[wanted]
    both = (cross_entropy(p, gold, reduction="sum") + cross_entropy(q, gold, reduction="sum")) / 2
    doubled = torch.cat([labels, labels])
    for items in (None, torch.tensor(20)):
        count = int(wanted.sum()) if items is None else 20
        loss = paired_loss(token_loss(config_of()), 0.7)({"logits": logits}, doubled, items)
        assert float(loss) == pytest.approx(float(both + 0.7 * apart) / count, rel=1e-5)


def test_a_class_weight_is_that_of_the_type_whatever_its_name():
    config = Config(labels=("I-FOO", "BAR"), training=TrainingConfig(class_weights={"I-FOO": 3.0}))
    for tag, weight in enumerate((1, 3, 3, 1, 1)):
        loss = token_loss(config)({"logits": torch.zeros(1, 1, 5)}, torch.tensor([[tag]]))
        assert float(loss) == pytest.approx(weight * math.log(5))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_two_equal_readings_cost_what_one_does(smoothing: float):
    torch.manual_seed(2)
    logits = torch.randn(3, 4, 5, requires_grad=True)
    labels = torch.randint(0, 5, (3, 4))
    config = config_of(smoothing)
    paired = paired_loss(token_loss(config), 3.0)({"logits": torch.cat([logits, logits])}, torch.cat([labels, labels]))
    one = token_loss(config)({"logits": logits}, labels)
    assert float(paired.detach()) == pytest.approx(float(one.detach()), rel=1e-6)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (paired, one)]
    torch.testing.assert_close(*gradients)
