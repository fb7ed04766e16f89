"""The public test kit: what tests of Paidup, and of applications that embed it, stand on."""
