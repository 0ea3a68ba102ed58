"""A demonstration of the node on one machine, with Orthanc as the PACS where it is installed."""
