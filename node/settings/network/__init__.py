"""Settings of the DICOM network: the listener, peers, TLS, and what is wrong with them."""
