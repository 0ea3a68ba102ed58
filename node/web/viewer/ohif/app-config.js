// OHIF as the node serves it below /viewer/, on the node's own DICOMweb. It follows
// reports-as-text.js in one file.

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
