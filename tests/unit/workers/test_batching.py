"""Batches are cut so that nothing is lost, nothing is over the budget, and little of it is padding."""

from hypothesis import given
from hypothesis import strategies as st

from workers import batching

LENGTHS = st.lists(st.integers(1, 512), max_size=200)
BUDGETS = st.integers(1, 4096)
MULTIPLES = st.sampled_from([1, 8, 16])


@given(LENGTHS, BUDGETS, MULTIPLES)
def test_every_sequence_stands_in_exactly_one_batch(lengths: list[int], budget: int, multiple: int) -> None:
    batches = batching.plan(lengths, budget, multiple=multiple)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batches)


@given(LENGTHS, BUDGETS, MULTIPLES)
def test_a_batch_is_within_the_budget_or_a_single_sequence(lengths: list[int], budget: int, multiple: int) -> None:
    for batch in batching.plan(lengths, budget, multiple=multiple):
        longest = max(lengths[index] for index in batch)
        assert len(batch) * batching.padded(longest, multiple) <= budget or len(batch) == 1


@given(LENGTHS, BUDGETS)
def test_batches_come_longest_first_and_are_sorted_by_length(lengths: list[int], budget: int) -> None:
    flat = [lengths[index] for batch in batching.plan(lengths, budget) for index in batch]
    assert flat == sorted(lengths, reverse=True)


@given(LENGTHS, BUDGETS)
def test_no_batch_could_have_taken_the_first_sequence_of_the_next(lengths: list[int], budget: int) -> None:
    batches = batching.plan(lengths, budget)
    for batch in batches[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


@given(LENGTHS, BUDGETS, MULTIPLES)
def test_the_inverse_permutation_puts_results_back_where_they_were_asked(
    lengths: list[int], budget: int, multiple: int
) -> None:
    order = [index for batch in batching.plan(lengths, budget, multiple=multiple) for index in batch]
    shuffled = [f"result {index}" for index in order]
    assert [shuffled[i] for i in batching.inverse(order)] == [f"result {index}" for index in range(len(lengths))]


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_padding_goes_up_to_the_next_multiple_and_no_further(length: int, multiple: int) -> None:
    padded = batching.padded(length, multiple)
    assert padded % multiple == 0
    assert length <= padded < length + multiple


def test_sorting_leaves_less_padding_than_the_order_of_arrival() -> None:
    lengths = [20, 200, 30, 180, 25, 190, 35, 210]
    batches = batching.plan(lengths, 840)
    cost = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    in_order = sum(4 * max(lengths[start : start + 4]) for start in (0, 4))
    assert cost < 0.65 * in_order
