"""Signing in through the company's own OpenID Connect provider: the extra paidup[oidc]."""
