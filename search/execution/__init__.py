"""Where candidates are run: virtual time, Ray Tune, Ray Train."""
