"""Events go to the shop's endpoints: signed, in order per order, again until they are acknowledged."""
