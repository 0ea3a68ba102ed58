// OHIF as the node serves it below /viewer/, on the node's own DICOMweb.
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

// Shows a segmentation on its images as soon as both are there: the one whose Series Instance UID the
// address names as `overlay`.
const overlayAtOnce = {
  id: 'segnode.overlay-at-once',
  onModeEnter({ servicesManager }) {
    const wanted = new URLSearchParams(window.location.search).get('overlay');
    if (!wanted) return;
    const {
      displaySetService,
      cornerstoneViewportService,
      segmentationService,
      viewportGridService,
    } = servicesManager.services;
    let started = false;

    async function show() {
      const overlay = displaySetService
        .getActiveDisplaySets()
        .find(each => each.Modality === 'SEG' && each.SeriesInstanceUID === wanted);
      const viewport = overlay && [...viewportGridService.getState().viewports.values()].find(each =>
        each.displaySetInstanceUIDs.includes(overlay.referencedDisplaySetInstanceUID)
      );
      if (started || !viewport) return;
      const { viewportId } = viewport;
      if (!cornerstoneViewportService.getCornerstoneViewport(viewportId)?.getCurrentImageId?.()) return;
      started = true;
      await overlay.load({ headers: {} });
      const segmentationId = overlay.displaySetInstanceUID;
      await segmentationService.addSegmentationRepresentation(viewportId, {
        segmentationId,
        type: 'Labelmap',
      });
      // The slice through the middle of the first organ.
      const { segments } = segmentationService.getSegmentation(segmentationId);
      const [first] = Object.values(segments).filter(Boolean);
      segmentationService.jumpToSegmentCenter(segmentationId, first.segmentIndex, viewportId, undefined, false);
    }

    displaySetService.subscribe(displaySetService.EVENTS.DISPLAY_SETS_ADDED, show);
    cornerstoneViewportService.subscribe(
      cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED,
      () => setTimeout(show) // the viewport shows its first image after the event
    );
  },
};

window.config = {
  name: 'segnode',
  routerBasename: '/viewer',
  extensions: [reportsAsText, overlayAtOnce],
  modes: [],
  customizationService: [{ 'ohif.tours': { $set: [] } }],
  disableConfirmationPrompts: true,
  showStudyList: true,
  maxNumberOfWebWorkers: 3,
  showCPUFallbackMessage: false,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: 'always' },
  defaultDataSourceName: 'node',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'node',
      configuration: {
        friendlyName: 'segnode',
        name: 'segnode',
        qidoRoot: window.location.origin + '/dicom-web',
        wadoRoot: window.location.origin + '/dicom-web',
        qidoSupportsIncludeField: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        dicomUploadEnabled: false,
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};
