"""A short campaign of what `make chaos` does at length: users, faults at random instants, and the books afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.campaign import Campaign


def test_a_random_campaign_loses_nothing(tmp_path: Path) -> None:
    """Processes, lines, exit statuses: whatever is killed and whenever, all are accounted for, and nothing is left."""
    campaign = Campaign(tmp_path, seed=3)
    try:
        report = campaign.run(15)
    finally:
        campaign.sweep()
    assert report.verdict.lines > 1000
    assert report.faults.total() > 5
    assert report.is_good, report.table()
