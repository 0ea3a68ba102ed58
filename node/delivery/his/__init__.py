"""Delivery of measurements to hospital information systems: HL7 v2.5.1 by MLLP, and FHIR R4."""
