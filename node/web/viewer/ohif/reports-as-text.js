// OHIF draws the measurements of a report from the coordinates in it. A report that refers to the
// segments of a segmentation instead, as segnode's does (TID 1411), stays black in OHIF 3.13
// (https://github.com/OHIF/Viewers/issues/3390). This extension makes OHIF show such a report as text.
const COORDINATES = ['SCOORD', 'SCOORD3D'];
const WITHOUT_TEXT = ['IMAGE', 'COMPOSITE', 'WAVEFORM', 'UIDREF'];
const SHOWN_DIGITS = 6;

function hasCoordinates(item) {
  return COORDINATES.includes(item.ValueType) || (item.ContentSequence ?? []).some(hasCoordinates);
}

// Returns the content item for OHIF's text view. It shows neither references to images, which are left
// out, nor what qualifies a number, such as "Mean", which becomes part of the number's name.
function asText(item) {
  const items = (item.ContentSequence ?? []).filter(each => !WITHOUT_TEXT.includes(each.ValueType));
  if (item.ValueType !== 'NUM' || !item.MeasuredValueSequence?.length) {
    return { ...item, ContentSequence: items.map(asText) };
  }
  const name = item.ConceptNameCodeSequence[0];
  const qualifiers = items
    .filter(each => each.ValueType === 'CODE')
    .map(each => each.ConceptCodeSequence[0].CodeMeaning);
  const { NumericValue, MeasurementUnitsCodeSequence } = item.MeasuredValueSequence[0];
  const shown = Number(Number(NumericValue).toPrecision(SHOWN_DIGITS));
  return {
    ...item,
    ConceptNameCodeSequence: {
      CodeValue: name.CodeValue,
      CodeMeaning: [name.CodeMeaning, ...qualifiers].join(', '),
    },
    MeasuredValueSequence: [
      { NumericValue: shown, MeasurementUnitsCodeSequence: MeasurementUnitsCodeSequence[0] },
    ],
  };
}

const reportsAsText = {
  id: 'segnode.reports-as-text',
  onModeEnter({ servicesManager }) {
    const { displaySetService } = servicesManager.services;
    displaySetService.subscribe(
      displaySetService.EVENTS.DISPLAY_SETS_ADDED,
      ({ displaySetsAdded }) => {
        for (const displaySet of displaySetsAdded) {
          if (displaySet.isImagingMeasurementReport && !hasCoordinates(displaySet.instance)) {
            displaySet.isImagingMeasurementReport = false;
            displaySet.instances = displaySet.instances.map(asText);
          }
        }
      }
    );
  },
};
