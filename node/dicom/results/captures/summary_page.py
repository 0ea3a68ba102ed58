"""The one-page summary of a result: montage, table of organs, findings, model and source."""

from node.dicom.results.content import ResultContent
from node.dicom.results.pages.header_texts import identification, series_texts
from node.dicom.results.pages.organ_texts import CHECK_FINDINGS, attenuation_text, volume_text
from node.dicom.results.pages.page import Page, Section, Table, TableRow
from node.dicom.results.preview import montage
from node.dicom.results.result_attributes import context_source, local_time

FOOTER = "Not for diagnostic use. Made automatically; no physician has checked it."
_DIGEST_CHARACTERS = 12


def summary_page(content: ResultContent, *, with_patient: bool) -> Page:
    """Returns the page; `with_patient` adds name, ID, birth date, accession number, study date."""
    spec = content.spec
    header = context_source(content.source)
    return Page(
        title="Automatic segmentation",
        subtitle=f"{spec.title}, not for diagnostic use",
        warning=f"{CHECK_FINDINGS}." if content.is_marked else "",
        identification=identification(header) if with_patient else (),
        picture=montage(content.source.volume, content.mask),
        table=_organs(content),
        sections=(_findings(content), _source(content), _model(content)),
        footer=FOOTER,
    )


def _organs(content: ResultContent) -> Table:
    rows = []
    for label in content.mask.labels:
        measured = content.measurements[label.name]
        cells = (label.name, volume_text(measured), attenuation_text(measured))
        rows.append(TableRow(cells, label.display_rgb))
    return Table(("Organ", "Volume", "Mean attenuation"), tuple(rows))


def _findings(content: ResultContent) -> Section:
    texts = tuple(finding.text for finding in content.findings)
    return Section("Findings", texts or ("None.",))


def _source(content: ResultContent) -> Section:
    source = content.source
    lines = series_texts(source.sources, f"{source.slice_count} slices")
    if source.part is None:
        return Section("Source", lines)
    return Section("Source", (*lines, f"Only {source.part.title} of {source.part.count} parts"))


def _model(content: ResultContent) -> Section:
    spec = content.spec
    digest = spec.weights_sha256[:_DIGEST_CHARACTERS]
    local = local_time(context_source(content.source), content.made_at)
    lines = [f"{spec.model_id} {spec.version}, weights {digest}", f"Made {local:%Y-%m-%d %H:%M %Z}"]
    if content.replaces is not None:
        lines.append("Replaces an earlier result of this series.")
    return Section("Model", tuple(lines))
