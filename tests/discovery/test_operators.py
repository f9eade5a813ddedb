import pytest

from discovery.operators import MODEL_WEIGHTS, weights_for

KNOWN = ("create", "mutate", "crossover", "repair")


def test_without_a_choice_the_default_holds_for_what_is_known() -> None:
    """Operators that the proposer does not know are left out."""
    assert weights_for(KNOWN, {}, MODEL_WEIGHTS) == {name: MODEL_WEIGHTS[name] for name in KNOWN}


def test_those_chosen_are_all_there_is() -> None:
    """A weight above 0 is a choice among operators: others are not drawn."""
    assert weights_for(KNOWN, {"mutate": 2.0, "create": 0.0}, MODEL_WEIGHTS) == {"mutate": 2.0}


def test_operators_can_be_left_out_one_by_one() -> None:
    """Where only zeros are given the others keep their weights: an ablation is one setting."""
    without = weights_for(KNOWN, {"crossover": 0.0}, MODEL_WEIGHTS)
    assert without == {name: MODEL_WEIGHTS[name] for name in KNOWN if name != "crossover"}


def test_a_choice_that_leaves_nothing_is_refused() -> None:
    """With what is known in the sentence; so is an unknown operator."""
    with pytest.raises(ValueError, match="no operator has a weight above 0; give one to create, mutate"):
        weights_for(KNOWN, dict.fromkeys(KNOWN, 0.0), MODEL_WEIGHTS)
    with pytest.raises(ValueError, match="operator 'tune' is not known to this proposer; it knows create"):
        weights_for(KNOWN, {"tune": 1.0}, MODEL_WEIGHTS)
