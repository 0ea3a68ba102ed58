"""The pages and REST routes of models, shadow runs and segmentations by people."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from dicomweb_client import DICOMwebClient
from playwright.sync_api import Browser, expect

from models.installed_packages import find
from node.domain.evaluation.feedback import Feedback, FeedbackComparison, FeedbackState
from node.domain.evaluation.organ_agreement import OrganAgreement
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState, shadow_id
from node.domain.identifiers import Uid
from node.domain.job import Job
from tests.support.browser.busy_console import CONFIGURATION, accept, open_console
from tests.support.dicom.builders import ct_series
from tests.support.servers.served_node import ServedNode, served_node

_LIVER = find("liver-ct")
_CANDIDATE = find("organs-ct").reference
_SHADOW = f'model = "liver-ct"\nshadow = "{_CANDIDATE}"'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedNode, Job]]:
    """A node with a job, two shadow runs and two segmentations by people."""
    folder = tmp_path_factory.mktemp("site")
    with served_node(folder, CONFIGURATION.replace('model = "liver-ct"', _SHADOW)) as node:
        job = node.finish_job(accept(node, node.receive(ct_series(), folder / "ct")))
        for run in shadow_runs(job, node.settings.data_dir / "results" / "shadow.dcm"):
            node.store.add_shadow_runs([run])
        node.store.add_feedback(feedback(job))
        yield node, job


def shadow_runs(job: Job, path: Path) -> list[ShadowRun]:
    now = datetime.now(UTC)
    run = ShadowRun(
        shadow_id=shadow_id(job.job_id, _CANDIDATE),
        job_id=job.job_id,
        series_instance_uid=job.series_instance_uid,
        active=_LIVER.reference,
        candidate=_CANDIDATE,
        state=ShadowState.COMPARED,
        created_at=now,
        updated_at=now,
        organs=(OrganAgreement("Liver", 0.9, 1500.0, 1450.0),),
        active_s=2.0,
        candidate_s=4.0,
        result_path=path,
    )
    worse = (OrganAgreement("Liver", 0.8, 1500.0, 1490.0),)
    failed = replace(
        run,
        shadow_id="failed",
        state=ShadowState.FAILED,
        organs=(),
        candidate_s=None,
        reason="No room.",
    )
    return [run, replace(run, shadow_id="second", organs=worse), failed]


def feedback(job: Job) -> list[Feedback]:
    now = datetime.now(UTC)
    compared = Feedback(
        sop_instance_uid=Uid("1.2.77.1"),
        series_instance_uid=Uid("1.2.77"),
        study_instance_uid=job.study_instance_uid,
        sender="READING_ROOM",
        state=FeedbackState.COMPARED,
        received_at=now,
        updated_at=now,
        source_series_instance_uid=job.series_instance_uid,
        comparisons=(
            FeedbackComparison(
                job.job_id, _LIVER.reference, (OrganAgreement("Liver", 0.954, 1500.0, 1530.0),)
            ),
        ),
    )
    reason = "no segment shows an organ of the models"
    failed = replace(
        compared,
        sop_instance_uid=Uid("1.2.77.2"),
        state=FeedbackState.FAILED,
        comparisons=(),
        reason=reason,
    )
    return [compared, failed]


def test_the_pages_say_what_the_candidates_and_people_find(
    site: tuple[ServedNode, Job], browser: Browser
) -> None:
    node, job = site
    pages = {
        "/models": "2 compared, 1 failed",
        "/feedback": "READING_ROOM",
        f"/series/{job.series_instance_uid}": "shadow, not delivered",
    }
    for width, scheme in ((1280, "light"), (390, "dark")):
        # The checker is a script, which the page's own policy keeps out.
        context = browser.new_context(
            bypass_csp=True,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
        )
        page = context.new_page()
        for path, text in pages.items():
            with open_console(page, f"{node.url}{path}"):
                expect(page.get_by_text(text).first).to_be_visible()
                results = Axe().run(page)
                assert results.violations_count == 0, results.generate_report()
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


def test_the_models_page_names_version_digest_rules_and_agreement(
    site: tuple[ServedNode, Job], browser: Browser
) -> None:
    node, job = site
    page = browser.new_page()
    with open_console(page, f"{node.url}/models"):
        liver = page.get_by_role("article", name="Liver", exact=False).first
        expect(liver).to_contain_text(f'model = "{_LIVER.reference}"')
        expect(liver).to_contain_text(_LIVER.weights_sha256)
        expect(liver).to_contain_text("abdomen")
        texts = [text.split() for text in page.locator(".agreement dd").all_inner_texts()]
        assert texts == [["Liver"], ["2"], ["0.850"], ["0.800"], ["-30.0", "mL"]]
        page.get_by_text("Each series").click()
        expect(page.get_by_text("failed: No room.")).to_be_visible()
        page.get_by_role("link", name="Series", exact=False).last.click()
        expect(page).to_have_url(f"{node.url}/series/{job.series_instance_uid}")
    page.close()


def test_rest_tells_models_agreement_and_feedback(site: tuple[ServedNode, Job]) -> None:
    node, job = site
    models = {each["name"]: each for each in httpx.get(f"{node.url}/api/models").json()}
    assert models[_LIVER.reference]["rules"] == ["abdomen"]
    assert models[_CANDIDATE]["shadow_rules"] == ["abdomen"]
    one = httpx.get(f"{node.url}/api/models/{_LIVER.reference}").json()
    assert one["weights_sha256"] == _LIVER.weights_sha256
    assert one["metrics"]
    assert httpx.get(f"{node.url}/api/models/liver-ct@99").status_code == 404
    (agreement,) = httpx.get(f"{node.url}/api/models/agreement").json()
    assert agreement["counts"]["compared"] == 2
    assert agreement["organs"][0]["mean_dice"] == pytest.approx(0.85)
    assert "result_path" not in agreement["runs"][0]
    assert agreement["runs"][0]["series_instance_uid"] == job.series_instance_uid
    received = httpx.get(f"{node.url}/api/feedback").json()
    assert {each["state"] for each in received} == {"compared", "failed"}


def test_the_result_of_a_candidate_is_not_published(site: tuple[ServedNode, Job]) -> None:
    node, job = site
    client = DICOMwebClient(node.dicomweb_url)
    series = client.search_for_series(job.study_instance_uid)
    modalities = sorted(str(each["00080060"]["Value"][0]) for each in series)
    assert modalities == ["CT", "SEG"]
    jobs = httpx.get(f"{node.url}/api/jobs").json()
    assert [each["job_id"] for each in jobs] == [job.job_id]
