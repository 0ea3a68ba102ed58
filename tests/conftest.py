"""What holds for every test: on continuous integration nothing may be skipped."""

import os
from collections.abc import Generator

import pytest
from pytest import CollectReport, TestReport

_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def _skip_becomes_failure(report: TestReport | CollectReport) -> None:
    if _CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which continuous integration does not allow: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, TestReport, TestReport]:
    report = yield
    _skip_becomes_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, CollectReport, CollectReport]:
    report = yield
    _skip_becomes_failure(report)
    return report
