"""Repair: active query 主动查单/补单."""
