"""What keeps a failing neighbour from taking us along: frozen values, and one guard around an outgoing call."""
