"""The ledger in the words of audit tools: FHIR AuditEvent, the patterns of IHE, syslog."""
