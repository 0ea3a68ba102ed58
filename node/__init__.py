"""The inference node: receives DICOM series, runs segmentation jobs, delivers DICOM results."""
