"""Each figure beside its peer and its ceiling, interleaved in one run: `python -m bench`."""
