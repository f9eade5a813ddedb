import numpy as np
import pytest

from engine_bridge.trace_profiles import LEVELS, PROFILES, draw_arrivals, draw_lengths

DISPERSION = {"azure_conv": (1.4, 3.9, 16.1), "azure_code": (13.2, 71.6, 164.0), "mooncake": (7.9, 2.1, 2.9)}
"""Variance over mean of the traces' counts in windows of 1, 10 and 60 seconds."""
SHARES = [0.1, 0.5, 0.9, 0.99]


@pytest.mark.parametrize("name", PROFILES)
def test_lengths_have_the_quantiles_of_the_trace(name: str) -> None:
    """Within 5 % or one token, and never outside the trace's range."""
    profile = PROFILES[name]
    drawn = draw_lengths(profile, 100_000, np.random.default_rng(1))
    for lengths, quantiles in zip(drawn, (profile.prompt, profile.output), strict=True):
        assert lengths.dtype == np.int64 and lengths.min() >= quantiles[0] and lengths.max() <= quantiles[-1]
        expected = np.interp(SHARES, LEVELS, quantiles)
        assert np.quantile(lengths, SHARES) == pytest.approx(expected, rel=0.05, abs=1)


@pytest.mark.parametrize("name", PROFILES)
def test_arrivals_are_as_bursty_as_the_trace(name: str) -> None:
    """Rate within 10 %, index of dispersion within 40 % at three time scales, averaged over ten hours."""
    profile, rng = PROFILES[name], np.random.default_rng(2)
    runs = [draw_arrivals(profile, round(3600 * profile.rate), rng) for _ in range(10)]
    assert np.mean([len(times) / times[-1] for times in runs]) == pytest.approx(profile.rate, rel=0.1)
    for window, expected in zip((1, 10, 60), DISPERSION[name], strict=True):
        counts = [np.bincount((times // window).astype(int))[:-1] for times in runs]
        assert np.mean([each.var() / each.mean() for each in counts]) == pytest.approx(expected, rel=0.4)


def test_arrivals_ascend_from_zero_and_come_in_ticks_where_the_trace_does() -> None:
    """Mooncake reports arrivals every three seconds."""
    for profile in PROFILES.values():
        times = draw_arrivals(profile, 500, np.random.default_rng(3))
        assert len(times) == 500 and times[0] == 0 and (np.diff(times) >= 0).all()
        assert not profile.tick or np.allclose(times % profile.tick, 0)
    assert len(draw_arrivals(profile, 0, np.random.default_rng(3))) == 0


def test_the_same_seed_gives_the_same_requests() -> None:
    """Whatever else is drawn."""
    profile = PROFILES["azure_conv"]
    first, second = (draw_lengths(profile, 50, np.random.default_rng(4)) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
