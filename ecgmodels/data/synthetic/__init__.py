"""Made-up recordings with real files, for demonstrations and tests."""
