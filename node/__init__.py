"""The inference node: DICOM series in, segmentation jobs, DICOM results out."""
