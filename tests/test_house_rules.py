"""The house rules that a machine can hold: who may import whom, purity, one owner per table."""
