"""对账: the channel's bill of a day laid beside our books, every difference typed, and what proof can mend mended."""
