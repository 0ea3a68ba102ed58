"""The DICOM listener: receives instances by C-STORE and passes them to the node's inbox."""
