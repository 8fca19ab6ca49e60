"""The TOML file that says what is searched and how."""
