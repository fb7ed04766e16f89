"""Alipay's v2 gateway (RSA2) from its own side."""
