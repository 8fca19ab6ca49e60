"""The one source of truth: a study in its storage, and the folder around it."""
