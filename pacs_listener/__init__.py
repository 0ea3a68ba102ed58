"""The DICOM door: receives C-STORE and hands every instance to the node's inbox."""
