"""What finance people are given: a report of each day, a view of the month, the breaks as a sheet, and the books."""
