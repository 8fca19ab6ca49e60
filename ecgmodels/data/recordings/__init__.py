"""Reading recordings: WFDB files, annotations, and what is detected in a signal."""
